"""Moments of a call that LiveKit tells of and that have no span: what a detector made of a caller
who spoke over the agent, speech of which no words came, interruptions that were none, a caller who
was away."""

from __future__ import annotations

from typing import Any

from livekit.agents import AgentFalseInterruptionEvent

from ...core.clock import from_wall, now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..turns.state import Scope

KEPT = 200
OFF = "off_the_record"


class CallMoments:
    """Keeps the moments of one session."""

    def __init__(self, scope: Scope) -> None:
        self._spans = scope.spans
        self._moments: list[JSON] = []
        self._total = 0

    def result(self) -> JSON:
        """What the session's span says of them."""
        noted = sum(one["kind"] != OFF for one in self._moments)
        more = self._total if self._total > noted else None
        return {"moments": self._moments[:] or None, "moments_total": more}

    @guarded("moments.overlapping_speech")
    def on_overlap(self, event: Any) -> None:
        """LiveKit's adaptive interruption made up its mind about a caller who spoke over the agent
        (inference/interruption.py, ``OverlappingSpeechEvent``)."""
        if event.is_interruption:
            verdict = "interruption"
        else:  # what the agent's end cut off is no verdict (from 1.6 on it says so)
            verdict = "undecided" if getattr(event, "agent_ended", False) else "backchannel"
        self._note(
            "overlapping_speech",
            verdict=verdict,
            probability=round(event.probability, 4) if event.num_requests else None,
            delay_ms=_ms(event.detection_delay) if event.num_requests else None,
            began_us=self._offset_us(event.overlap_started_at),
        )

    @guarded("moments.user_transcription_timeout")
    def on_transcription_timeout(self, event: Any) -> None:
        """A detector heard the caller, and the STT gave no words (voice/events.py,
        ``UserTranscriptionTimeoutEvent``; not in 1.5)."""
        self._note(
            "transcription_timeout",
            speech_ms=_ms(event.speech_duration),
            began_us=self._offset_us(event.vad_speech_started_at),
        )

    @guarded("moments.false_interruption")
    def on_false_interruption(self, event: AgentFalseInterruptionEvent) -> None:
        """A sound of the caller's stopped the agent, and was no interruption."""
        self._note("false_interruption", resumed=event.resumed)

    @guarded("moments.user_state")
    def on_user_state(self, event: Any) -> None:
        """The caller begins or stops to be away: nothing was heard of either side for long."""
        if event.new_state == "away":
            self._note("user_away")
        elif event.old_state == "away":
            self._note("user_back")

    def on_record(self, kind: str, at: int) -> None:
        """The program takes the call off the record, or puts it on it again."""
        since = next((one for one in reversed(self._moments) if one["kind"] == OFF), None)
        if kind == OFF:
            self._moments.append({"at_us": self._spans.offset_us(at), "kind": OFF})
        elif since is not None:
            index = self._moments.index(since)  # replaced as a whole: another thread may read it
            self._moments[index] = {**since, "until_us": self._spans.offset_us(at)}

    def _note(self, kind: str, **more: Any) -> None:
        self._total += 1
        if self._total <= KEPT:
            at = self._spans.offset_us(now_ns())
            self._moments.append(without_none({"at_us": at, "kind": kind, **more}))

    def _offset_us(self, wall_s: Any) -> int | None:
        return self._spans.offset_us(from_wall(wall_s)) if isinstance(wall_s, float) else None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
