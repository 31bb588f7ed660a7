"""The clock of the samples: when the audio of a frame was recorded.

A frame carries samples and a rate, and no time (rtc/audio_frame.py). It was recorded before it
arrived, frames don't overlap, and they arrive in four ways:

- At the pace of real time, each a little late. A native ``AudioStream`` delivers what WebRTC's
  jitter buffer plays, which conceals what the network lost or held back; then the frames wait for
  the event loop in unbounded queues (rtc/audio_stream.py, ``aio.Chan`` in
  voice/room_io/_input.py).
- In a burst. What waited in these queues while the loop was busy, or the STT reconnected, arrives
  at once. It was recorded without a break.
- After a gap. While the input is disabled, LiveKit drops frames (``_forward_task`` in
  voice/room_io/_input.py); of a track that is muted, replaced or of another participant, none
  arrive for a while. The next frame arrives at its own time.
- Ahead of time. LiveKit adds silence so that an STT finishes: 500 ms when a track ends
  (``_forward_task``), and 200 ms many times over when the program commits a turn while the input is
  disabled (``_commit_user_turn`` in voice/audio_recognition.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livekit import rtc

Hear = Callable[["rtc.AudioFrame", int], None]
"""Is given each frame of the user's audio, and when it arrived."""

_MS = 1_000_000

GAP_NS = 60 * _MS
"""A frame later than this, and later than its own length, follows a gap, unless the frames behind
it arrive in a burst."""
JITTER_NS = 5 * _MS
"""If every frame is later than this for a while, there was a gap that was shorter than GAP_NS."""
_LATE_FOR_NS = 500 * _MS
_SETTLES_NS = 200 * _MS
"""A burst is over when no frame has moved the stretch back for this long."""
_BEHIND_NS = 5_000 * _MS
"""How long a line can be behind before it catches up."""
_SLACK_NS = 80 * _MS
"""How far a settled stretch can move back within ten seconds. A frame that is earlier was not
recorded after the frames before it."""
_SLACK_FOR_NS = 10_000 * _MS
_MERGES_NS = 20 * _MS
_STRETCHES = 32


class AudioClock:
    """Places audio in time by the samples counted, anchored to when frames arrived.

    The audio is a row of stretches, each recorded without a break. No frame arrives before its end,
    so the earliest frame, relative to its position in the audio, anchors its stretch. A late frame
    begins a new stretch, and the frames of a burst move it back: to the end of the stretch before
    if there was no gap. What is placed already moves with it (``moves``)."""

    __slots__ = (
        "_anchor",
        "_began_ns",
        "_late",
        "_slack",
        "_slack_until_ns",
        "_stretches",
        "began",
        "moves",
        "position",
        "settles_ns",
    )

    def __init__(self) -> None:
        self.position = 0
        """How much audio was counted, in nanoseconds."""
        self.settles_ns = 0
        """When the present stretch is not expected to move any more."""
        self.began = False
        """A new stretch began. Whoever acts on it clears it."""
        self.moves: list[tuple[int, int]] = []
        """What was placed at or after a moment moves by so many nanoseconds. Whoever acts on it
        clears it."""
        self._anchor = 0
        self._began_ns = 0
        self._stretches: list[tuple[int, int, bool]] = []
        """The position at which each stretch begins, its anchor, and whether there may have been no
        gap before it."""
        self._late: list[tuple[int, int, int]] = []
        """Since which positions all frames were late, each time by more: the position, the anchor
        of the earliest frame since, and when the first arrived."""
        self._slack = _SLACK_NS
        self._slack_until_ns = 0

    def advance(self, arrived_ns: int, duration_ns: int, *, padding: bool = False) -> int:
        """Count one frame that arrived just now; returns the moment at which its audio began.

        Args:
            padding: The frame is silence that LiveKit added. It is not counted.
        """
        position = self.position
        if padding and self._stretches:
            return min(arrived_ns, max(self._anchor + position, arrived_ns - duration_ns))
        self.position = ended = position + duration_ns
        anchor = arrived_ns - ended
        late = anchor - self._anchor
        if not self._stretches:
            self._begin(position, anchor, arrived_ns)
        elif late > JITTER_NS:
            if late > max(GAP_NS, duration_ns):
                self._take_late(arrived_ns)
            if anchor - self._anchor > max(GAP_NS, duration_ns):
                self._begin(position, anchor, arrived_ns)
            else:
                self._note_late(position, anchor, arrived_ns)
        else:
            if self._late:
                self._late.clear()
            if late < 0:
                self._early(position, anchor, arrived_ns)
        return self._anchor + position

    def moment(self, position: int) -> int:
        """When the sample at this position was recorded, as far as that is known now."""
        for begins, anchor, _ in reversed(self._stretches):
            if begins <= position:
                return anchor + position
        return (self._stretches[0][1] if self._stretches else 0) + position

    def earliest(self, moment_ns: int) -> int:
        """A position such that no audio before it was recorded at or after a moment."""
        return moment_ns - max((anchor for _, anchor, _ in self._stretches), default=0)

    def moments(self, positions: Sequence[int]) -> list[int]:
        """When the samples at these rising positions were recorded."""
        if not positions:
            return []
        first, last = positions[0], positions[-1]
        anchor = self.moment(first) - first
        if self.moment(last) - last == anchor:  # all of it came in one piece
            return [anchor + position for position in positions]
        return [self.moment(position) for position in positions]

    def _begin(self, position: int, anchor: int, arrived_ns: int) -> None:
        self._add(position, anchor)
        self._late.clear()
        self._slack = _SLACK_NS
        self.settles_ns = arrived_ns + _SETTLES_NS
        self.began = True
        self._began_ns = arrived_ns

    def _add(self, position: int, anchor: int, *, tentative: bool = False) -> None:
        self._stretches.append((position, anchor, tentative))
        self._anchor = anchor
        if len(self._stretches) > _STRETCHES:
            del self._stretches[0]

    def _note_late(self, position: int, anchor: int, arrived_ns: int) -> None:
        late, since_ns = self._late, arrived_ns
        while late and late[-1][1] > anchor - JITTER_NS:
            position, least, since_ns = late.pop()
            anchor = min(anchor, least)
        late.append((position, anchor, since_ns))
        position, anchor, since_ns = late[0]
        if arrived_ns - since_ns >= _LATE_FOR_NS:
            self.moves.append((self._anchor + position, anchor - self._anchor))
            self._add(position, anchor)
            self._began_ns = since_ns
            del late[0]

    def _take_late(self, arrived_ns: int) -> None:
        """A gap is near: the frames that were late were after a gap, too, until a burst says
        otherwise."""
        for position, anchor, _ in self._late:
            self.moves.append((self._anchor + position, anchor - self._anchor))
            self._add(position, anchor, tentative=True)
            self.settles_ns = arrived_ns + _SETTLES_NS
        self._late.clear()

    def _early(self, position: int, anchor: int, arrived_ns: int) -> None:
        earlier = self._anchor - anchor
        if earlier > JITTER_NS and self._merge(anchor, arrived_ns):
            self._slack, self.settles_ns = _SLACK_NS, arrived_ns
            return
        if arrived_ns < self.settles_ns or self._can_catch_up(anchor, arrived_ns):
            if earlier > JITTER_NS:
                self.settles_ns = arrived_ns + _SETTLES_NS
            self._move(anchor)
            return
        if arrived_ns >= self._slack_until_ns:
            self._slack, self._slack_until_ns = _SLACK_NS, arrived_ns + _SLACK_FOR_NS
        if earlier > self._slack:
            self._begin(position, anchor, arrived_ns)
        else:
            self._slack -= earlier
            self._move(anchor)

    def _can_catch_up(self, anchor: int, arrived_ns: int) -> bool:
        """Whether audio that was held up at the beginning of the stretch can be all that it has:
        the line was behind for longer than a burst takes."""
        held_up = len(self._stretches) > 1 and anchor > self._stretches[-2][1] - _MERGES_NS
        return held_up and arrived_ns - self._began_ns < _BEHIND_NS

    def _merge(self, anchor: int, arrived_ns: int) -> bool:
        """There was no gap before the present stretch: it goes on with the one before."""
        merged = False
        while len(self._stretches) > 1:
            position = self._stretches[-1][0]
            _, before, tentative = self._stretches[-2]
            later = anchor - before
            if abs(later) > _MERGES_NS and not (tentative and later < 0):
                break
            self._move(before)
            del self._stretches[-1]
            if later < 0:
                self._move(anchor)
            elif later > JITTER_NS:
                self._late = [(position, anchor, arrived_ns)]
                return True
            merged = True
        return merged

    def _move(self, anchor: int) -> None:
        begins, before, tentative = self._stretches[-1]
        self.moves.append((before + begins, anchor - before))
        self._stretches[-1] = (begins, anchor, tentative)
        self._anchor = anchor
