"""An STT and a VAD that tell what the recorded ones told, where in the caller's audio they did.
LiveKit's real interfaces; what they hear is not listened to, but each frame says where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from ..replay import UserTurn
from .script import Replayed

MARK = "prefactor_replay"
"""Key in ``AudioFrame.userdata``: where in the recorded call a frame of the caller's is."""
Place = tuple[int, int]
"""Number of the user's turn, and microseconds after its first sound."""
NOWHERE: Place = (0, 0)

_STARTS_US = 100_000
_ENDS_US = 550_000
"""When a VAD tells of speech and of its end, where none was recorded (Silero's defaults)."""


@dataclass(frozen=True)
class _Due:
    at: Place
    what: Any


class ReplaySTT(Replayed, stt.STT):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Tells what the recorded STT told, each event when the caller's audio has come to it."""

    def __init__(self, turns: Sequence[UserTurn], place: Callable[[], Place]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.place = place
        # A stream can end and another go on: what was told is of the call, not of a stream.
        self.due = [
            _Due((turn.number, heard.at_us + event.offset_us), event)
            for turn in turns
            for heard in turn.utterances
            for event in heard.events
        ]

    async def _recognize_impl(self, *_args: Any, **_options: Any) -> stt.SpeechEvent:
        raise NotImplementedError("a replayed STT streams")

    def stream(
        self,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _RecognizeStream(stt=self, conn_options=conn_options)


class _RecognizeStream(stt.RecognizeStream):
    async def _run(self) -> None:
        model = self._stt
        assert isinstance(model, ReplaySTT)
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            here = place_of(frame, model.place)
            while model.due and model.due[0].at <= here:
                event = model.due.pop(0).what
                alternatives = []
                if event.text:
                    alternatives = [
                        stt.SpeechData(
                            language="",  # type: ignore[arg-type]  # younger than a plain string
                            text=event.text,
                            confidence=event.confidence or 0.0,
                        )
                    ]
                self._event_ch.send_nowait(
                    stt.SpeechEvent(type=stt.SpeechEventType(event.type), alternatives=alternatives)
                )


def place_of(frame: rtc.AudioFrame, otherwise: Callable[[], Place]) -> Place:
    """Where in the recorded call a frame is. One that was made anew on its way (a filter in the
    agent's own ``stt_node``, a resampler) has lost its mark: then where the caller is now."""
    place = frame.userdata.get(MARK)
    return place if place is not None else otherwise()


class ReplayVAD(Replayed, vad.VAD):
    """Tells of the user's speech, and of its end, where in it the recorded VAD did."""

    def __init__(self, turns: Sequence[UserTurn], place: Callable[[], Place]) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))
        self.place = place
        self.spans = {turn.number: _speech(turn) for turn in turns if turn.utterances}

    def stream(self) -> vad.VADStream:
        return _VADStream(self)


def _speech(turn: UserTurn) -> tuple[int, int, int]:
    """When the VAD tells of it, when it is over, and when the VAD tells of that."""
    ended = turn.speech_ended_us
    if ended is None:
        ended = speech_ends_us(turn)
    started = turn.vad_started_us if turn.vad_started_us is not None else _STARTS_US
    told = turn.vad_ended_us if turn.vad_ended_us is not None else ended + _ENDS_US
    return min(started, ended), ended, max(told, ended)


def speech_ends_us(turn: UserTurn) -> int:
    """When the user's last sound ended, after the first; of a typed turn, 0."""
    if turn.speech_ended_us is not None:
        return turn.speech_ended_us
    ends = [
        heard.at_us + offset
        for heard in turn.utterances
        if heard.audio is not None
        for offset, level in zip(heard.audio.offset_us, heard.audio.dbfs, strict=True)
        if level > -60
    ]
    return max(ends, default=0)


class _VADStream(vad.VADStream):
    async def _main_task(self) -> None:
        model = self._vad
        assert isinstance(model, ReplayVAD)
        kinds = vad.VADEventType
        speaking, position = False, 0.0
        turn, begun, ended = 0, 0, 0
        frames: list[rtc.AudioFrame] = []
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            position += frame.duration
            number, at = place_of(frame, model.place)
            if number != turn and not speaking:
                turn, frames = number, []
            started, ends, told = model.spans.get(turn, (0, 0, 0))
            at = at if number == turn else told  # the user went on to the next turn at once
            heard = started <= at <= ends and turn in model.spans
            speech = min(at, ends) / 1e6 if turn in model.spans else 0.0
            quiet = max(0.0, (at - ends) / 1e6)
            changed: vad.VADEventType | None = None
            if heard and not speaking and begun < turn:
                speaking, begun, changed = True, turn, kinds.START_OF_SPEECH
            elif speaking and at >= told and ended < turn:
                speaking, ended, changed = False, turn, kinds.END_OF_SPEECH
            if at <= told and turn in model.spans:
                frames.append(frame)
            for kind in (kinds.INFERENCE_DONE, changed):
                if kind is not None:
                    self._event_ch.send_nowait(
                        vad.VADEvent(
                            type=kind,
                            samples_index=int(position * frame.sample_rate),
                            timestamp=position,
                            speech_duration=speech if speaking or changed else 0.0,
                            silence_duration=quiet,
                            frames=[frame] if kind is kinds.INFERENCE_DONE else list(frames),
                            probability=float(heard),
                            speaking=speaking,
                            raw_accumulated_silence=quiet,
                            raw_accumulated_speech=speech if heard else 0.0,
                        )
                    )
