"""Cuts the STT node, which is one stream for the whole session, into a span per utterance.

Streaming STTs say when speech starts and ends (``START_OF_SPEECH``, ``END_OF_SPEECH``) and may send
several finals in between; LiveKit's ``StreamAdapter`` (a non-streaming STT behind a VAD) sends the
end first and the only final after it; some send nothing but transcripts. An utterance ends with the
final that nothing more follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livekit.agents import stt

from ...core.clock import now_ns
from ...core.json import without_none
from ...core.span import Span, SpanType, Status
from ..livekit import describe
from ..spans.stream import AudioLevels, SpeechEvents
from ..spans.tree import PREFACTOR_STATUS
from .turn import UserTurn, Utterance

if TYPE_CHECKING:
    from ..recorder import SessionRecorder

_FINAL = stt.SpeechEventType.FINAL_TRANSCRIPT
_START = stt.SpeechEventType.START_OF_SPEECH
_END = stt.SpeechEventType.END_OF_SPEECH
_WITHOUT_SPEECH = {stt.SpeechEventType.RECOGNITION_USAGE, _END}


class Utterances:
    def __init__(self, trace: SessionRecorder) -> None:
        self._trace = trace
        self._model: dict[str, Any] = {}

    def use_model(self, owner: Any) -> None:
        """The STT that the events come from."""
        self._model = describe.model(owner)

    def open_span(self) -> Span | None:
        turn = self._trace.user_turns.open
        return turn.utterance.span if turn is not None and turn.utterance is not None else None

    def hear(self, event: Any) -> None:
        """Take what the STT node just yielded: an event, or plain text (a final)."""
        kind = event.type if isinstance(event, stt.SpeechEvent) else _FINAL
        turn = self._trace.user_turns.open
        utterance = turn.utterance if turn is not None else None
        if turn is not None and utterance is not None and kind is _START and utterance.is_mute():
            # It ended without a word: a cough, or a false start.
            self.close(turn, at=turn.moments.get("speech_ended"))
            utterance = None
        if utterance is None:
            if kind in _WITHOUT_SPEECH:
                return
            utterance = self._begin(kind)
        utterance.events.add(event)
        if kind is _START:
            utterance.started_by_stt = True
        elif kind is _END:
            utterance.speech_ended = True
        elif kind is _FINAL:
            utterance.final_ns = now_ns()
            text = event if isinstance(event, str) else _text(event)
            if text:
                utterance.finals.append(text)
        else:
            utterance.interims += 1
        complete = utterance.final_ns is not None
        if complete and (utterance.speech_ended or not utterance.started_by_stt):
            turn = self._trace.user_turns.open
            assert turn is not None
            self.close(turn)

    def close(self, turn: UserTurn, *, at: int | None = None) -> None:
        """End the utterance of a turn, if one is open: with its final, else ``at`` or now."""
        utterance, turn.utterance = turn.utterance, None
        if utterance is None:
            return
        voice = self._trace.voice
        voice.levels = None
        utterance.audio.sample_rate = voice.sample_rate
        utterance.audio.channels = voice.channels
        utterance.audible_end_ns = voice.heard_until_ns
        heard = utterance.final_ns is not None
        status = Status.COMPLETE if heard else Status.CANCELLED
        ended = utterance.final_ns if heard else at
        self._trace.call.end(utterance.span, status, lambda: _result(utterance, status), at=ended)

    def _begin(self, kind: stt.SpeechEventType) -> Utterance:
        trace = self._trace
        now = now_ns()
        begun = trace.voice.recent_onset(now) or now
        turns = trace.user_turns
        turn = turns.begin(begun) if kind is _START else turns.of_words(now)
        audio, events = AudioLevels(begun), SpeechEvents(begun)
        trace.voice.refill(audio)
        trace.voice.levels = audio
        span = trace.call.begin(
            SpanType.STT,
            "stt",
            turn.span,
            {
                "name": "stt",
                "type": SpanType.STT.value,
                "turn_index": turn.index,
                **self._model,
                "metadata": {},
            },
            streams={"audio": audio, "events": events},
            at=begun,
        )
        turn.utterance = Utterance(span=span, audio=audio, events=events)
        turn.was_heard = True
        return turn.utterance


def _text(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text if event.alternatives else ""


def _result(utterance: Utterance, status: Status) -> dict[str, Any]:
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
