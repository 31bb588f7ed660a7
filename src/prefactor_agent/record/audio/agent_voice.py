"""The agent's voice: how loud it is, and where in its audio it can be heard."""

from __future__ import annotations

from math import inf
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np

from ...core.guard import guarded
from ..spans.stream import UNABSORBED, AudioLevels
from .block import Block
from .loudness import WINDOW_MS, pack, to_dbfs
from .sound import Levels, Sound, find_sound

if TYPE_CHECKING:
    from livekit import rtc

_WINDOW_NS = WINDOW_MS * 1_000_000
LATE_KEPT = 500
KEPT_WINDOWS = 1_000
"""The levels of the beginning that are looked through again when more is known: 10 s."""


class AgentVoice:
    """The agent's voice as it leaves one call of the TTS, or of a realtime model: levels, and where
    in it the sound begins and ends.

    Where the sound begins depends on how loud the voice becomes and on the noise that it begins
    with. So the levels of its first seconds are kept, and whoever asks gets what they say so far;
    after the call has ended that is final.

    Levels are worked out block by block, and on the event loop whenever somebody asks. Another
    thread sees what was worked out, all of it once the span of the call has ended.

    Args:
        session_id: Whose call it is in.
    """

    def __init__(self, levels: AudioLevels, session_id: str | None = None) -> None:
        self.session_id = session_id
        self._levels = levels
        levels.source = self.catch_up
        self._loop_thread = get_ident()
        self._block = Block(self._work_out)
        self._position_ns = 0
        self._latest_ns: int | None = None
        self._opening: Levels | None = None
        self._kept: list[tuple[int, float]] = []
        """The position of each window of the beginning, and its level."""
        self._found: tuple[int, Sound | None] = (0, None)
        """What was found in so many windows."""
        self._begins_ns: int | None = None
        self._ends_ns: int | None = None
        self._goes_on_above: float | None = None
        """The level above which the sound goes on after the kept windows."""
        self._late: list[tuple[int, int]] = []

    def hear(self, frame: rtc.AudioFrame, arrived_ns: int) -> None:
        """One frame passed."""
        if (levels := self._levels).sample_rate is None:
            levels.sample_rate, levels.channels = frame.sample_rate, frame.num_channels
        levels.times.append(arrived_ns)
        self._block.add(frame, arrived_ns)

    def catch_up(self) -> None:
        """Work out the levels of what has passed."""
        if len(self._block) and get_ident() == self._loop_thread:
            self._work_out()

    @guarded("voice.levels")
    def _work_out(self) -> None:
        levels = self._levels
        counted = levels.sample_rate
        for (_, samples, rate, _, arrived_ns), squares in self._block.take():
            position = self._position_ns
            began = arrived_ns - position
            if self._latest_ns is None or began > self._latest_ns:
                self._latest_ns = began
                if len(self._late) < LATE_KEPT:
                    self._late.append((position, began))
            self._position_ns = position + samples * 1_000_000_000 // rate
            self._place(position, squares)
            if counted is not None and rate != counted:
                samples = samples * counted // rate
            levels.items.append(pack(samples, squares))
        if len(levels.items) >= UNABSORBED:
            levels.absorb()

    def _place(self, position: int, squares: list[float]) -> None:
        above = self._goes_on_above
        for index, square in enumerate(squares):
            at = position + index * _WINDOW_NS
            if above is None:
                self._kept.append((at, to_dbfs(square)))
            elif to_dbfs(square) > above:
                self._ends_ns = at + _WINDOW_NS
        if len(self._kept) >= KEPT_WINDOWS:
            self._bound()

    @property
    def late(self) -> list[tuple[int, int]]:
        """The frames that came later, against their place in the audio, than all before them: that
        place, and the arrival less it (see :class:`prefactor_agent.conversation.Playout`)."""
        self.catch_up()
        return self._late

    @property
    def sound_begins_ns(self) -> int | None:
        """How far into the audio the first audible sound is: the leading silence of the voice."""
        self._look()
        return self._begins_ns

    @property
    def sound_ends_ns(self) -> int | None:
        """How far into the audio the last audible sound ends."""
        self._look()
        return self._ends_ns

    def _look(self) -> Sound | None:
        """Look through what is kept, if there is more of it than at the last time. Called on the
        event loop while the voice speaks, and on the journal's thread."""
        self.catch_up()
        kept = self._kept
        count, found = self._found
        if count == len(kept) or self._goes_on_above is not None:
            return found
        kept = kept[:]
        found = find_sound([level for _, level in kept])
        self._found = len(kept), found
        if found is not None:
            self._begins_ns = kept[found.begins][0]
            self._ends_ns = kept[found.ends][0] + _WINDOW_NS
        return found

    def opening(self) -> Levels:
        """The levels of its first seconds, a window of 10 ms each."""
        if self._opening is not None:
            return self._opening
        self.catch_up()
        kept = self._kept[:]
        return np.fromiter((level for _, level in kept), np.float64, len(kept))

    def settle(self) -> None:
        """The call of the voice is over: keep what was found, and let the levels go."""
        found = self._look()
        self._goes_on_above = found.goes_on_above if found is not None else inf
        self._opening = self.opening()
        self._kept = []

    def _bound(self) -> None:
        """As many levels are kept as may be: the beginning is final, or was silence so far."""
        found = self._look()
        if found is not None:
            self.settle()
        else:
            self._kept = self._kept[KEPT_WINDOWS // 2 :]
            self._found = len(self._kept), None
