"""Cuts the STT node, which is one stream for the whole session, into a span per utterance.

Streaming STTs say when speech starts and ends (``START_OF_SPEECH``, ``END_OF_SPEECH``) and may send
several finals in between; LiveKit's ``StreamAdapter`` (a non-streaming STT behind a VAD) sends the
end first and the only final after it; some send nothing but transcripts. An utterance ends with the
final that nothing more follows."""

from __future__ import annotations

from typing import Any

from livekit.agents import stt

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.span import SpanType
from ..audio.user_voice import UserVoice
from ..livekit.models import describe_model
from ..spans.stream import AudioLevels, SpeechEvents
from .state import Scope
from .turn import UserTurn
from .user_turns import UserTurns
from .utterance import Utterance, end_utterance

_FINAL = stt.SpeechEventType.FINAL_TRANSCRIPT
_START = stt.SpeechEventType.START_OF_SPEECH
_END = stt.SpeechEventType.END_OF_SPEECH
_WITHOUT_SPEECH = {stt.SpeechEventType.RECOGNITION_USAGE, _END}


class Utterances:
    """Begins an utterance's span with its first sign, and ends it with its final."""

    def __init__(self, scope: Scope, voice: UserVoice, user_turns: UserTurns) -> None:
        self._spans, self._state, _ = scope
        self._voice = voice
        self._user_turns = user_turns
        self._model: dict[str, Any] = {}
        self._latest: Utterance | None = None
        voice.on_moved.append(self._on_sound_moved)

    @guarded("utterance.sound_moved")
    def _on_sound_moved(self, seemed: int, moment: int) -> None:
        utterance = self._latest
        if utterance is None:
            return
        if utterance.span.started_ns == seemed:
            self._spans.move_start(utterance.span, moment)
        if utterance.audible_end_ns == seemed:
            utterance.audible_end_ns = moment

    def use_model(self, owner: Any) -> None:
        """The STT that the events come from."""
        self._model = describe_model(owner)

    def hear(self, event: Any) -> None:
        """Take what the STT node just yielded: an event, or plain text (a final)."""
        kind = event.type if isinstance(event, stt.SpeechEvent) else _FINAL
        self._voice.catch_up()
        turn = self._state.user_turn
        utterance = turn.utterance if turn is not None else None
        if turn is not None and utterance is not None and kind is _START and utterance.is_mute():
            # It ended without a word: a cough, or a false start.
            self._end(turn, at=turn.moments.get("speech_ended"))
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
            turn = self._state.user_turn
            assert turn is not None
            self._end(turn)
            self._user_turns.heard_out(turn)

    def _end(self, turn: UserTurn, *, at: int | None = None) -> None:
        end_utterance(self._spans, self._voice, turn.take_utterance(), at=at)

    def _begin(self, kind: stt.SpeechEventType) -> Utterance:
        now, voice, turns = now_ns(), self._voice, self._user_turns
        begun = voice.recent_onset(now) or now
        turn = turns.begin(begun) if kind is _START else turns.of_words(now)
        audio, events = AudioLevels(begun), SpeechEvents(begun)
        voice.refill(audio)
        voice.levels = audio
        span = self._spans.begin(
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
        turn.utterance = self._latest = Utterance(span=span, audio=audio, events=events)
        turn.was_heard = True
        return turn.utterance


def _text(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text if event.alternatives else ""
