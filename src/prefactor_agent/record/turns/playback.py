"""When the agent's audio was played, from the public events of ``session.output.audio``.

LiveKit plays one speech at a time (voice/agent_activity.py, ``_scheduling_task``), so a playback
event belongs to ``session.current_speech``. The output may be exchanged while the session runs (a
recorder, an avatar): ``follow`` is called again before each speech and moves the subscription."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...conversation import Late, Playout
from ...core.clock import from_wall, now_ns
from ...core.guard import guarded, listener
from ..audio.agent_voice import LATE_KEPT
from ..livekit import private as livekit_private
from .signals import Signals
from .state import SessionState
from .turn import AssistantTurn, Segment

if TYPE_CHECKING:
    from livekit.agents.voice.io import (
        AudioOutput,
        PlaybackFinishedEvent,
        PlaybackProgressedEvent,
        PlaybackStartedEvent,
    )

_DISCARDED_S = 0.35
"""What a room's output may throw away at a pause: the 200 ms that its source holds, the frame of
50 ms before it, and what plays on until a busy loop gets there."""

_SAME_NS = 1_000_000
"""Two places in the audio that are this close are the same one."""


class Playback:
    """Notes on each speech when its audio was played.

    Args:
        segment_started: Told of a speech when a stretch of its audio begins to be played.
    """

    def __init__(
        self,
        state: SessionState,
        signals: Signals,
        segment_started: Callable[[AssistantTurn], None],
    ) -> None:
        self._state = state
        self._signals = signals
        self._segment_started = segment_started
        self._output: AudioOutput | None = None
        self._counts_discarded = False
        self._finished_ns: int | None = None
        self._dry: Late | None = None
        """Where the output has run dry. What comes there is late: see ``Segment.late``."""
        self._listeners: dict[str, Callable[..., None]] = {
            "playback_started": listener(self._on_started),
            "playback_progressed": listener(self._on_progressed),
            "playback_finished": listener(self._on_finished),
        }

    @guarded("playback.follow")
    def follow(self, output: AudioOutput | None) -> None:
        """Listen to this output from now on, and to no other."""
        if output is self._output:
            return
        before, self._output = self._output, output
        self._counts_discarded = livekit_private.counts_discarded(output)
        for name, listen in self._listeners.items():
            event: Any = name
            if before is not None:
                before.off(event, listen)
            if output is not None:
                output.on(event, listen)
        self._signals.output_followed.emit(output)

    @guarded("playback.started")
    def _on_started(self, event: PlaybackStartedEvent) -> None:
        state = self._state
        turn = state.speaking() or state.last_played
        if turn is None:
            return
        state.last_played = turn
        # Stamped by the output when the first frame was played; the event itself may come a little
        # later.
        moment = min(now_ns(), from_wall(event.created_at))
        first, self._dry = not turn.segments, None
        turn.segments.append(Segment(started_ns=moment))
        turn.moments.setdefault("playback_started", moment)
        state.output_reports_playback = True
        if first:
            turn.previous_ended_ns = self._finished_ns
        self._signals.playback.emit("started", moment, None)
        self._segment_started(turn)

    @guarded("playback.progressed")
    def _on_progressed(self, event: PlaybackProgressedEvent) -> None:
        """A room's output has played all that it had. It tells so when the next of it comes, which
        it then plays; at the end, when nothing comes; and at a pause, when that has to wait. After
        a pause the place in the audio does not tell any more when it came too late."""
        now, turn = now_ns(), self._state.last_played
        dry, self._dry = self._dry, None
        if turn is None or (segment := turn.playing) is None:
            return
        begins, length = round(event.offset * 1e9), round(event.duration * 1e9)
        if dry is not None and abs(begins - dry[0]) < _SAME_NS:
            segment.late.append(dry)
        if turn.is_paused:
            return
        place = begins + length
        self._signals.playback.emit("waited", now, place / 1e9)
        if not turn.was_paused_since(segment.started_ns) and len(segment.late) < LATE_KEPT:
            self._dry = place, now - place

    @guarded("playback.finished")
    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        turn = self._state.last_played
        if turn is None or (segment := turn.playing) is None:
            return
        segment.finished_ns = now_ns()
        segment.position_s = event.playback_position
        if self._counts_discarded:
            segment.position_s = _without_discarded(turn, segment, event.playback_position)
        self._signals.playback.emit("finished", segment.finished_ns, segment.position_s)
        segment.interrupted = event.interrupted
        segment.spoken = event.synchronized_transcript
        turn.moments["playback_finished"] = self._finished_ns = segment.finished_ns


def _without_discarded(turn: AssistantTurn, segment: Segment, reported_s: float) -> float:
    """How much of a segment was played, in seconds: what was told, or what the time between its
    pauses allows, if less was played by as much as pauses can cost."""
    turned = [
        moment
        for moment, state in turn.pauses
        if state in ("paused", "resumed") and moment >= segment.started_ns
    ]
    if not turned or segment.finished_ns is None:
        return reported_s
    paused, *later = [*turned, segment.finished_ns]
    heard = [one for one in turn.voices if one.first_frame_ns and one.first_frame_ns < paused]
    late = heard[-1].voice.late if heard else ()
    played_ns = Playout(segment.started_ns, late).position(paused)
    played_ns += sum(until - since for since, until in zip(later[::2], later[1::2], strict=False))
    played_s = played_ns / 1e9
    pauses = (len(turned) + 1) // 2
    return played_s if 0 < reported_s - played_s < pauses * _DISCARDED_S else reported_s
