"""An STT and a VAD that report what the recorded ones did, at the same place of the caller's audio.
LiveKit's real interfaces; what they hear is not listened to, but each frame says where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""When a VAD reports speech and its end, where none was recorded (Silero's defaults)."""


@dataclass(frozen=True)
class _Due:
    at: Place
    what: Any


class ReplaySTT(Replayed, stt.STT):  # type: ignore[type-arg]  # generic in its events, which nobody names
    """Gives the events of the recorded STT, each when the caller's audio has come to it."""

    def __init__(self, turns: Sequence[UserTurn], place: Callable[[], Place]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.place = place
        # A stream can end and another go on: events are counted for the call, not for a stream.
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
    """When the VAD reports it, when it is over, and when the VAD reports that."""
    ended = turn.speech_ended_us
    if ended is None:
        ended = speech_ends_us(turn)
    started = turn.vad_started_us if turn.vad_started_us is not None else _STARTS_US
    reported = turn.vad_ended_us if turn.vad_ended_us is not None else ended + _ENDS_US
    return min(started, ended), ended, max(reported, ended)


def speech_ends_us(turn: UserTurn) -> int:
    """When the caller's last sound ended, after the first; of a typed turn, 0."""
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


class _Hearing:
    """What a VAD knows of the caller's speech, frame by frame.

    Args:
        spans: See :func:`_speech`, by the number of the turn.
    """

    def __init__(self, spans: Mapping[int, tuple[int, int, int]]) -> None:
        self._spans = spans
        self._turn = self._begun = self._ended = 0
        self.speaking = False
        self.heard = False
        """Whether the latest frame is speech."""
        self.speech = self.quiet = 0.0
        """Seconds of speech so far, and of silence after it."""
        self.frames: list[rtc.AudioFrame] = []
        """The frames of the turn up to the moment at which its end is reported."""

    def take(self, frame: rtc.AudioFrame, place: Place) -> vad.VADEventType | None:
        """Hear one more frame. Returns what is to be reported with it."""
        number, at = place
        if number != self._turn and not self.speaking:
            self._turn, self.frames = number, []
        known = self._turn in self._spans
        started, ends, reported = self._spans.get(self._turn, (0, 0, 0))
        if number != self._turn:
            at = reported  # the caller went on to the next turn at once
        self.heard = known and started <= at <= ends
        self.speech = min(at, ends) / 1e6 if known else 0.0
        self.quiet = max(0.0, (at - ends) / 1e6)
        if known and at <= reported:
            self.frames.append(frame)
        return self._change(over=at >= reported)

    def _change(self, *, over: bool) -> vad.VADEventType | None:
        if self.heard and not self.speaking and self._begun < self._turn:
            self.speaking, self._begun = True, self._turn
            return vad.VADEventType.START_OF_SPEECH
        if self.speaking and over and self._ended < self._turn:
            self.speaking, self._ended = False, self._turn
            return vad.VADEventType.END_OF_SPEECH
        return None


class _VADStream(vad.VADStream):
    async def _main_task(self) -> None:
        model = self._vad
        assert isinstance(model, ReplayVAD)
        hearing, position = _Hearing(model.spans), 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue  # a flush mark
            position += frame.duration
            changed = hearing.take(frame, place_of(frame, model.place))
            self._send(hearing, vad.VADEventType.INFERENCE_DONE, frame, position, changed)
            if changed is not None:
                self._send(hearing, changed, frame, position, changed)

    def _send(
        self,
        hearing: _Hearing,
        kind: vad.VADEventType,
        frame: rtc.AudioFrame,
        position: float,
        changed: vad.VADEventType | None,
    ) -> None:
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=int(position * frame.sample_rate),
                timestamp=position,
                speech_duration=hearing.speech if hearing.speaking or changed else 0.0,
                silence_duration=hearing.quiet,
                frames=[frame] if kind is not changed else list(hearing.frames),
                probability=float(hearing.heard),
                speaking=hearing.speaking,
                raw_accumulated_silence=hearing.quiet,
                raw_accumulated_speech=hearing.speech if hearing.heard else 0.0,
            )
        )
