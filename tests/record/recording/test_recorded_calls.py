"""Whole calls, recorded: both voices lie where the trace says that they were heard."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession

from prefactor_agent import PrefactorLiveKitSession, TracedAgent, configure, flush, pipeline
from prefactor_agent.core import guard
from prefactor_agent.journal.reader import Journal
from prefactor_agent.record.recording.tap import CallRecording
from prefactor_agent.stored import recording
from prefactor_agent.stored.recording import Recording
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.tracing import tracer
from support import recordings
from support.line import Line
from support.recordings import Sounds
from support.scripted import (
    Heard,
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    Speaker,
    silence,
    sound,
)
from support.scripted_realtime import ScriptedRealtime
from support.seams import broken

TOLERANCE_S = 0.02
"""The trace's levels are of 10 ms each, and Opus smears an edge by up to 10 ms."""


@pytest.fixture(autouse=True)
def recorded() -> None:
    tracer.send_to(None)  # the user's own way: into the journal
    configure(keep_audio=True)


async def kept(journal: Path) -> tuple[list[StoredSpan], Recording | None]:
    assert await asyncio.to_thread(flush, 10)
    source = Journal(journal)
    try:
        call = source.find()
        return source.call(call), source.recording(call)
    finally:
        source.close()


def assert_alike(found: Sounds, expected: Sounds) -> None:
    assert len(found) == len(expected), (found, expected)
    for here, there in zip(found, expected, strict=True):
        assert here == pytest.approx(there, abs=TOLERANCE_S)


async def assert_recorded(journal: Path, *, caller: int, agent: int) -> Recording:
    """Both voices have so many sounds, where the trace has them."""
    spans, found = await kept(journal)
    assert found is not None
    in_file, in_trace = recordings.heard(found, spans[0]), recordings.traced(spans)
    assert [len(voice) for voice in in_file] == [caller, agent]
    for here, there in zip(in_file, in_trace, strict=True):
        assert_alike(here, there)
    assert not guard.failures
    return found


def line(*answers: str, rate: int = 48_000, **options: Any) -> Line:
    return Line(
        hears=ScriptedSTT(*(["words"] * 9)),
        thinks=ScriptedLLM(*answers),
        speaks=ScriptedTTS(first_byte=0.05, leading_silence=0.05, rate=rate),
        **options,
    )


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_both_voices_lie_where_the_trace_has_them(tmp_path: Path, rate: int) -> None:
    async with line("An answer of half a second, said aloud.", "B.", rate=rate).to(
        TracedAgent(instructions="x")
    ) as call:
        for said in (0.4, 0.7):
            call.microphone.play(
                [*silence(0.3, rate=rate), *sound(said, rate=rate), *silence(0.6, rate=rate)]
            )
            await call.microphone.heard()
            await call.answers()
    found = await assert_recorded(tmp_path / "journal.db", caller=2, agent=2)
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.path.parent.stat().st_mode) == 0o700


async def test_the_session_s_span_names_the_recording(tmp_path: Path) -> None:
    async with line("A.").to(TracedAgent(instructions="x")) as call:
        await call.says()
        await call.answers()
    spans, found = await kept(tmp_path / "journal.db")
    assert found is not None
    assert spans[0].result["recording"] == {
        "file": f"journal.db-audio/{spans[0].id}.ogg",
        "offset_ms": pytest.approx(found.offset_ms(spans[0].started_us), abs=0.001),
        "duration_s": pytest.approx(found.duration_s, abs=0.025),
    }


async def test_an_answer_that_is_interrupted_ends_where_it_was(tmp_path: Path) -> None:
    interrupted = {"interruption": {"mode": "vad", "min_duration": 0.2}}
    async with line("An answer. " * 30, "B.", **interrupted).to(
        TracedAgent(instructions="x")
    ) as call:
        await call.says()
        await asyncio.sleep(1.0)  # it speaks
        await call.says(0.5)
        await call.answers(2)
    spans, _ = await kept(tmp_path / "journal.db")
    (cut, _) = (span for span in spans if span.type == "livekit:assistant_turn")
    assert cut.result["interrupted"]
    await assert_recorded(tmp_path / "journal.db", caller=2, agent=2)


async def test_an_answer_that_pauses_is_silent_for_as_long(tmp_path: Path) -> None:
    paused = {
        "interruption": {
            "mode": "vad",
            "min_duration": 0.1,
            "resume_false_interruption": True,
            "false_interruption_timeout": 0.5,
        }
    }
    talk = Line(
        hears=ScriptedSTT("words", Heard("")),
        thinks=ScriptedLLM("An answer. " * 30),
        speaks=ScriptedTTS(first_byte=0.05, leading_silence=0.05, rate=48_000),
        **paused,
    )
    async with talk.to(TracedAgent(instructions="x")) as call:
        await call.says()
        await asyncio.sleep(1.0)
        await call.says(0.3, then=1.5)  # a cough
        await call.answers()
    await assert_recorded(tmp_path / "journal.db", caller=2, agent=2)


async def test_what_comes_at_once_after_a_busy_moment_lies_where_it_was_said(
    tmp_path: Path,
) -> None:
    async with line("A.").to(TracedAgent(instructions="x")) as call:
        call.microphone.play(silence(0.5))
        await call.microphone.heard()
        await asyncio.sleep(1.2)  # nothing arrives
        call.microphone.play([*silence(0.3), *sound(0.4), *silence(0.6)])
        await call.microphone.heard()
        await call.answers()
    await assert_recorded(tmp_path / "journal.db", caller=1, agent=1)


async def test_what_a_program_says_with_audio_of_its_own_is_recorded(tmp_path: Path) -> None:
    async def chime() -> AsyncIterator[rtc.AudioFrame]:
        for frame in sound(0.5, rate=48_000):
            yield frame

    async with line().to(TracedAgent(instructions="x")) as call:
        await call.session.say("Ding.", audio=chime())
    spans, found = await kept(tmp_path / "journal.db")
    assert found is not None
    ((begins, ends),) = recordings.heard(found, spans[0])[1]
    assert ends - begins == pytest.approx(0.5, abs=TOLERANCE_S)


async def test_a_realtime_model_s_call_is_recorded(tmp_path: Path) -> None:
    model = ScriptedRealtime("An answer.", heard=["words"], leading_silence=0.05)
    session: AgentSession[None] = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
    session.input.audio, session.output.audio = microphone, _ = Microphone(), Speaker()
    await session.start(TracedAgent(instructions="x"))
    await asyncio.sleep(0.05)
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.6)])
    await microphone.heard()
    await asyncio.sleep(2)
    await session.aclose()
    spans, found = await kept(tmp_path / "journal.db")
    assert found is not None
    caller, agent = recordings.heard(found, spans[0])
    assert_alike(agent, recordings.traced(spans)[1])
    assert len(caller) == 1 and caller[0][1] - caller[0][0] == pytest.approx(0.4, abs=TOLERANCE_S)


async def test_of_an_agent_that_is_not_traced_the_agent_is_recorded(tmp_path: Path) -> None:
    wrapper = PrefactorLiveKitSession()
    talk = line("An answer.")
    await wrapper.start(talk.session, Agent(instructions="x"))
    await asyncio.sleep(0.05)
    await talk.says()
    await talk.answers()
    await talk.session.aclose()
    spans, found = await kept(tmp_path / "journal.db")
    assert found is not None
    caller, agent = recordings.heard(found, spans[0])
    assert len(agent) == 1 and agent[0][1] - agent[0][0] == pytest.approx(0.1, abs=TOLERANCE_S)
    assert caller == [], "its STT's input passes nowhere that a program can see"


async def test_a_call_without_sound_has_no_recording(tmp_path: Path) -> None:
    async with line().to(TracedAgent(instructions="x")):
        pass
    spans, found = await kept(tmp_path / "journal.db")
    assert found is None and "recording" not in spans[0].result
    assert not recording.folder(tmp_path / "journal.db").exists()


async def test_the_output_is_left_as_it_was(tmp_path: Path) -> None:
    talk = line("A.")
    before = dict(vars(talk.speaker))
    async with talk.to(TracedAgent(instructions="x")) as call:
        await call.says()
        await call.answers()
        assert "capture_frame" in vars(talk.speaker)
    assert vars(talk.speaker).keys() == before.keys()


@asynccontextmanager
async def short_call() -> AsyncIterator[None]:
    async with line("A.").to(TracedAgent(instructions="x")) as call:
        await call.says()
        await call.answers()
        yield


@pytest.mark.parametrize(
    "chosen, said", [({"keep_audio": False}, []), ({"capture_content": False}, ["calls are not"])]
)
async def test_nothing_is_recorded_where_it_is_not_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, chosen: dict[str, Any], said: list[str]
) -> None:
    pipeline._say_once.cache_clear()
    configure(**chosen)
    for _ in range(2):
        tracer.send_to(None)
        async with short_call():
            pass
    assert len(caplog.messages) == len(said)
    spans, found = await kept(tmp_path / "journal.db")
    assert found is None and "recording" not in spans[0].result


async def test_redaction_is_said_to_leave_the_sound_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline._say_once.cache_clear()
    configure(redact_keys=["card"])
    for _ in range(2):
        tracer.send_to(None)
        async with short_call():
            pass
    (line,) = [text for text in caplog.messages if "recorded" in text]
    assert line.startswith("calls are recorded: what redaction takes out")
    assert (await kept(tmp_path / "journal.db"))[1] is not None


@pytest.mark.parametrize(
    "guarded",
    [CallRecording.follow, CallRecording._speak, CallRecording._whole, CallRecording.end],
)
async def test_what_fails_costs_the_recording_alone(tmp_path: Path, guarded: Any) -> None:
    with broken(guarded):
        async with short_call():
            pass
        spans, _ = await kept(tmp_path / "journal.db")
    assert guard.failures
    (answer,) = [span for span in spans if span.type == "livekit:assistant_turn"]
    assert answer.status == "complete" and answer.result["spoken_text"] == "A."
