"""When the agent's audio was played, from the public events of ``session.output.audio``.

LiveKit plays one speech at a time (voice/agent_activity.py, ``_scheduling_task``), so a playback
event belongs to ``session.current_speech``. The output may be exchanged while the session runs (a
recorder, an avatar): ``follow`` is called again before each speech and moves the subscription."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...conversation import Playout
from ...core.clock import from_wall, now_ns
from ...core.guard import guarded, listener
from ..livekit import private as livekit_private
from .signals import Signals
from .state import SessionState
from .turn import AssistantTurn, Segment

if TYPE_CHECKING:
    from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, PlaybackStartedEvent

_DISCARDED_S = 0.35
"""What a room's output may throw away at a pause: the 200 ms that its source holds, the frame of
50 ms before it, and what plays on until a busy loop gets there."""


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
        self._started, self._finished = listener(self._on_started), listener(self._on_finished)

    @guarded("playback.follow")
    def follow(self, output: AudioOutput | None) -> None:
        """Listen to this output from now on, and to no other."""
        if output is self._output:
            return
        if self._output is not None:
            self._output.off("playback_started", self._started)
            self._output.off("playback_finished", self._finished)
        self._output = output
        self._counts_discarded = livekit_private.counts_discarded(output)
        if output is not None:
            output.on("playback_started", self._started)
            output.on("playback_finished", self._finished)
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
        first = not turn.segments
        turn.segments.append(Segment(started_ns=moment))
        turn.moments.setdefault("playback_started", moment)
        state.output_reports_playback = True
        if first:
            turn.previous_ended_ns = self._finished_ns
        self._signals.playback.emit("started", moment, None)
        self._segment_started(turn)

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
