"""Recorded calls, played with the caller's own voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import AgentSession

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import Trace, replay
from prefactor_agent.testing.voice import RATE, CallerVoice
from support import recordings
from support.recordings import Tone
from support.scripted import ScriptedSTT, ScriptedVAD

from .replayed import HANDLING, LONG, Shop, a_spoken_call, told

pytest_plugins = ["prefactor_agent.testing.plugin"]

HERTZ = {1: 300.0, 2: 700.0}
"""What the caller's voice is like in each turn of the recording."""
COUGH = 500.0


def recorded_voice(journal: Path, call: list[StoredSpan], coughs: Sequence[float] = ()) -> Path:
    """The recording of the spoken call, beside a journal.

    Args:
        coughs: Sounds that were no turn: seconds after the end of the first.
    """
    (session,) = (span for span in call if span.parent_id is None)
    told_from = 0.75
    turns = replay(call).recording.turns
    tones = [
        Tone(told_from + turn.at_us / 1e6, told_from + (turn.at_us + ended) / 1e6, HERTZ[number])
        for number, turn in enumerate(turns, 1)
        if turn.at_us is not None and (ended := turn.speech_ended_us) is not None
    ]
    assert len(tones) == len(HERTZ)
    tones += [
        Tone(tones[0].ends_s + after, tones[0].ends_s + after + 0.1, COUGH) for after in coughs
    ]
    written = recordings.write(
        journal,
        session.id,
        session.started_us - round(told_from * 1e6),
        tones[-1].ends_s + 2,
        caller=tones,
        agent=[Tone(0, tones[-1].ends_s + 2, 1_500)],
    )
    return written.path


class Hears(Shop):
    """Keeps what its STT is given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[rtc.AudioFrame] = []

    def stt_node(self, audio: AsyncIterable[rtc.AudioFrame], model_settings: Any) -> Any:
        async def kept() -> AsyncIterable[rtc.AudioFrame]:
            async for frame in audio:
                self.heard.append(frame)
                yield frame

        return super().stt_node(kept(), model_settings)


async def test_the_callers_own_voice_is_understood_by_another_stt_and_vad(
    prefactor_trace: Trace, tmp_path: Path
) -> None:
    recorded = await a_spoken_call()
    voice = recorded_voice(tmp_path / "journal.db", recorded)
    call = replay(recorded, voice=voice, words="any")
    agent = Hears()
    other = AgentSession[None](
        stt=ScriptedSTT("Where's forty two?", "Thanks a lot."),
        llm=call.llm,
        tts=call.tts,
        vad=ScriptedVAD(),
        turn_handling=HANDLING,
        aec_warmup_duration=None,
    )
    async with asyncio.timeout(25):
        await call.run(other, agent)
    assert told(prefactor_trace) == [
        ("Where's forty two?", "".join(LONG), ("lookup",), True),
        ("Thanks a lot.", "Goodbye.", (), False),
    ]
    tones = [
        round(_hertz(frame))
        for frame in agent.heard
        if np.abs(np.frombuffer(frame.data, np.int16)).max() > 3_000
    ]
    # 0.4 and 0.5 s in frames of 20 ms; of the agent's 1,500 Hz there is nothing.
    assert [round(hertz, -2) for hertz in dict.fromkeys(tones)] == [300, 700]
    assert tones.count(300) == pytest.approx(20, abs=2)
    assert tones.count(700) == pytest.approx(25, abs=2)


def _hertz(frame: rtc.AudioFrame) -> float:
    samples = np.frombuffer(frame.data, np.int16)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16_000))
    return float(spectrum.argmax()) * frame.sample_rate / 16_000


async def test_what_was_no_turn_is_heard_where_it_was(tmp_path: Path) -> None:
    """Another VAD may make a turn of it."""
    recorded = await a_spoken_call()
    first, second = replay(recorded).recording.turns
    assert first.speech_ended_us is not None
    voice = CallerVoice(
        recorded_voice(tmp_path / "journal.db", recorded, coughs=[0.6]),
        replay(recorded).recording,
    )
    size = round(0.1 * RATE)
    said = {
        (turn.number, after): np.frombuffer(
            voice.piece(turn.number, (turn.speech_ended_us or 0) + round(after * 1e6), size),
            np.int16,
        )
        for turn in (first, second)
        for after in (0.45, 0.6, 0.75)
    }
    loud = [where for where, samples in said.items() if np.abs(samples).max() > 3_000]
    assert loud == [(1, 0.6)]
    cough = rtc.AudioFrame(said[1, 0.6].tobytes(), RATE, 1, size)
    assert _hertz(cough) == pytest.approx(COUGH, abs=20)


async def test_a_voice_that_is_not_this_calls_is_refused(tmp_path: Path) -> None:
    recorded = await a_spoken_call()
    voice = recorded_voice(tmp_path / "journal.db", recorded)
    with pytest.raises(ValueError, match="at speed=1"):
        replay(recorded, voice=voice, speed=2)
    with pytest.raises(FileNotFoundError, match="--format ogg"):
        replay(recorded, voice=tmp_path / "none.ogg")
    with pytest.raises(ValueError, match="is no recording of a call"):
        replay(recorded, voice=__file__)
    later = recordings.write(tmp_path / "other.db", "other", 1, 1.0)
    with pytest.raises(ValueError, match=r"other\.ogg is the recording of another call"):
        replay(recorded, voice=later.path)
    file = tmp_path / "call.json"
    without = replay(recorded).recording
    turns = tuple(turn.model_copy(update={"at_us": None}) for turn in without.turns)
    file.write_text(without.model_copy(update={"turns": turns}).dump(), encoding="utf-8")
    with pytest.raises(ValueError, match="does not say when the caller spoke"):
        replay(file, voice=voice)
