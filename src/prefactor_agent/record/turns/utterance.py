"""One stretch of the user's speech as the STT heard it: the span that the STT stream, which is one
for the whole session, is cut into."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.json import JSON, without_none
from ...core.span import Span, Status
from ..audio.user_voice import UserVoice
from ..spans.outcome import PREFACTOR_STATUS
from ..spans.stream import AudioLevels, SpeechEvents
from ..spans.tree import SpanTree


@dataclass(eq=False)
class Utterance:
    """What is known of an utterance while it lasts."""

    span: Span
    audio: AudioLevels
    events: SpeechEvents
    finals: list[str] = field(default_factory=list)
    interims: int = 0
    started_by_stt: bool = False
    speech_ended: bool = False
    final_ns: int | None = None
    audible_end_ns: int | None = None

    def is_mute(self) -> bool:
        """The STT said that the speech ended, and not a word of it."""
        return self.speech_ended and not self.finals and not self.interims


def end_utterance(
    spans: SpanTree, voice: UserVoice, utterance: Utterance | None, *, at: int | None = None
) -> None:
    """End the span of an utterance, if there is one: with its final, else ``at`` or now."""
    if utterance is None:
        return
    voice.levels = None
    utterance.audio.sample_rate = voice.sample_rate
    utterance.audio.channels = voice.channels
    utterance.audible_end_ns = voice.heard_until_ns
    heard = utterance.final_ns is not None
    status = Status.COMPLETE if heard else Status.CANCELLED
    ended = utterance.final_ns if heard else at
    spans.end(utterance.span, status, lambda: _result(utterance, status), at=ended)


def _result(utterance: Utterance, status: Status) -> JSON:
    """Called off the event loop."""
    final, heard = utterance.final_ns, utterance.audible_end_ns
    return without_none(
        {
            "status": PREFACTOR_STATUS[status],
            "transcript": " ".join(utterance.finals),
            "interim_revisions": utterance.interims,
            "audio_seconds": utterance.audio.seconds,
            "finalization_delay_ms": round((final - heard) / 1e6, 3)
            if final is not None and heard is not None and final >= heard
            else None,
        }
    )
