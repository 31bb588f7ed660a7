"""An STT that streams as hosted ones do: it recognizes frame by frame, revises its interim results,
and decides by itself when a sentence is over. The recognizer is the offline one."""

from __future__ import annotations

import asyncio

import numpy as np
import pocketsphinx
from livekit import rtc
from livekit.agents import NOT_GIVEN, APIConnectOptions, NotGivenOr, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from prefactor_agent.demo.hearing import SAMPLE_RATE, Hearing, grammar
from prefactor_agent.demo.speech import Sound

QUIET_S = 0.3
"""A sentence ends after so much silence, in seconds."""
PIECE = SAMPLE_RATE // 10
"""Samples that are recognized at once."""
OVER_NOISE = 4.0
"""A voice is so many times louder than the noise."""


class StreamingSTT(stt.STT):
    """Args:
    sentences: What a caller may say.
    """

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.sentences = sentences
        self.hearing = Hearing(sentences)

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> _Stream:
        return _Stream(stt=self, conn_options=conn_options, sample_rate=SAMPLE_RATE)


class _Stream(stt.RecognizeStream):
    async def _run(self) -> None:
        recognizer = self._stt
        assert isinstance(recognizer, StreamingSTT)
        decoder = pocketsphinx.Decoder(
            lm=None, samprate=SAMPLE_RATE, loglevel="FATAL", bestpath=False
        )
        decoder.add_jsgf_string("call", grammar(recognizer.sentences))
        decoder.activate_search("call")
        heard: list[np.ndarray] = []
        fresh: list[np.ndarray] = []
        noise, quiet, interim = 60.0, 0.0, ""
        speaks = False
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            samples = np.frombuffer(frame.data, dtype=np.int16)
            level = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
            voiced = level > noise * OVER_NOISE
            if not voiced and not speaks:
                if level:  # not the digital silence that LiveKit sends in place of the room
                    noise = 0.95 * noise + 0.05 * max(level, 5.0)
                heard = [*heard[-20:], samples]  # the first sound of a word is soft
                continue
            if not speaks:
                speaks, quiet, interim = True, 0.0, ""
                self._send(stt.SpeechEventType.START_OF_SPEECH, "")
                decoder.start_utt()
                decoder.process_raw(np.concatenate(heard).tobytes() if heard else b"", False, False)
            heard.append(samples)
            quiet = 0.0 if voiced else quiet + len(samples) / SAMPLE_RATE
            fresh.append(samples)
            if sum(map(len, fresh)) >= PIECE:
                piece, fresh = np.concatenate(fresh).tobytes(), []
                await asyncio.to_thread(decoder.process_raw, piece, False, False)
                now = decoder.hyp()
                if now is not None and now.hypstr != interim:
                    interim = now.hypstr
                    self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, interim)
            if quiet >= QUIET_S:
                decoder.end_utt()
                sound = Sound(np.concatenate(heard), SAMPLE_RATE)
                text = await asyncio.to_thread(recognizer.hearing.transcribe, sound)
                if text:
                    self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, text)
                self._send(stt.SpeechEventType.END_OF_SPEECH, "")
                speaks, heard, fresh = False, [], []

    def _send(self, kind: stt.SpeechEventType, text: str) -> None:
        spoken = [stt.SpeechData(language="en", text=text, confidence=1.0)] if text else []  # type: ignore[arg-type,unused-ignore]
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=spoken))
