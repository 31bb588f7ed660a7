"""The private names of LiveKit are where the tracer looks for them, or it goes without."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, RunContext, llm
from livekit.agents.job import RunningJobInfo
from livekit.agents.voice import speech_handle
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput
from livekit.agents.voice.transcription import TranscriptSynchronizer

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.livekit import private as livekit_private
from support.job import Job
from support.scripted import ScriptedLLM, ScriptedSTT, ScriptedVAD, Speaker, Use
from support.tree import Recorder, check

TELLS_THE_SOURCE = hasattr(speech_handle, "InterruptionSource")
TELLS_THE_DISPATCH = hasattr(RunningJobInfo, "received_at")
CLAIMS = hasattr(AgentSession, "_claim_user_turn")


async def test_a_tool_without_a_context_knows_its_call(sink: Recorder) -> None:
    seen: dict[str, Any] = {}

    class Teller(TracedAgent):
        @traced_tool
        async def bare(self) -> str:
            """Has no context."""
            seen["bare"] = livekit_private.running_function_call()
            seen["inside"] = await asyncio.create_task(self.inner())
            return "done"

        @traced_tool
        async def told(self, context: RunContext[None]) -> str:
            """Has one."""
            seen["told"] = livekit_private.running_function_call()
            seen["public"] = context.function_call
            return "done"

        async def inner(self) -> Any:
            return livekit_private.running_function_call()

    model = ScriptedLLM([Use("bare", call_id="one"), Use("told", call_id="two")], "Done.")
    session: AgentSession[None] = AgentSession(llm=model)
    await session.start(Teller(instructions="tell"))
    await session.run(user_input="go")
    await session.aclose()
    check(sink)
    assert isinstance(seen["bare"], llm.FunctionCall)
    assert (seen["bare"].call_id, seen["told"].call_id) == ("one", "two")
    assert seen["told"].call_id == seen["public"].call_id
    assert seen["inside"] is None
    calls = [sink.plain(span)["payload"]["call_id"] for span in sink.of("livekit:tool:*")]
    assert sorted(calls) == ["one", "two"]


async def test_outside_a_tool_there_is_no_call() -> None:
    assert livekit_private.running_function_call() is None


async def test_which_speech_the_running_code_is_for(sink: Recorder) -> None:
    seen: dict[str, Any] = {}

    class Teller(TracedAgent):
        async def llm_node(self, *args: Any) -> Any:
            seen["node"] = livekit_private.running_speech()
            async for chunk in super().llm_node(*args):
                yield chunk

        @traced_tool
        async def look(self) -> str:
            """Look."""
            self.session.say("One moment.")
            seen["tool"] = livekit_private.running_speech()
            return "done"

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM([Use("look")], "Done."))
    await session.start(Teller(instructions="tell"))
    speech = session.generate_reply(user_input="go")
    assert livekit_private.running_speech() is None
    await speech
    await session.aclose()
    check(sink)
    assert seen == {"node": speech, "tool": speech}


async def test_the_source_of_an_interruption() -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["never"]))
    await session.start(TracedAgent(instructions="talk"))
    speech = session.say("hello")
    assert livekit_private.interruption_source(speech) is None
    speech.interrupt()
    source = livekit_private.interruption_source(speech)
    assert source == ("programmatic" if TELLS_THE_SOURCE else None)
    await session.aclose()


async def test_a_typed_message_claims_the_turn_and_is_no_spoken_one(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hello."]))
    await session.start(TracedAgent(instructions="talk"))
    if CLAIMS:
        async with session._claim_user_turn():
            assert livekit_private.user_turn_claimed(session)
            await session.interrupt()
            await session.generate_reply(user_input="hi")
    else:
        await session.generate_reply(user_input="hi")
    assert not livekit_private.user_turn_claimed(session)
    await session.aclose()
    check(sink)
    turns = [sink.plain(span) for span in sink.of("livekit:user_turn")]
    assert [turn["payload"]["modality"] for turn in turns] == ["text"]


async def test_what_a_pause_of_the_rooms_output_costs_is_kept_account_of_or_not() -> None:
    nowhere: Any = None
    room = _ParticipantAudioOutput(
        nowhere, sample_rate=24_000, num_channels=1, track_publish_options=nowhere
    )
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=room, next_in_chain_text=None)
    oldest = version("livekit-agents").startswith("1.5.")
    assert livekit_private.counts_discarded(synchronizer.audio_output) == oldest
    assert not livekit_private.counts_discarded(Speaker())
    await synchronizer.aclose()
    await room._audio_source.aclose()


async def test_how_a_session_is_closed() -> None:
    seen: list[Any] = []

    class Leaver(TracedAgent):
        async def on_exit(self) -> None:
            seen.append(livekit_private.closing_task(session))
            seen.append(livekit_private.is_closing(session))
            seen.append(livekit_private.is_busy(session))

    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hello."]))
    assert livekit_private.is_off(session)
    await session.start(Leaver(instructions="leave"))
    assert not livekit_private.is_off(session)
    assert not livekit_private.is_closing(session)
    assert not livekit_private.is_busy(session)
    assert livekit_private.closing_task(session) is None
    session.shutdown()
    task = livekit_private.closing_task(session)
    assert task is not None
    await task
    assert seen == [task, True, True]
    assert livekit_private.is_off(session)
    assert livekit_private.failure(task) is None
    # A session that runs again is not closing.
    await session.start(TracedAgent(instructions="come back"))
    assert not livekit_private.is_closing(session)
    await session.aclose()


async def test_what_a_task_raised_is_still_told() -> None:
    async def fails() -> None:
        raise ValueError("gone")

    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    task = loop.create_task(fails())
    await asyncio.wait([task])
    error = livekit_private.failure(task)
    assert isinstance(error, ValueError)
    del task
    assert told == [error]


def test_what_is_missing_or_of_another_kind_is_nothing() -> None:
    class Other:
        _interrupt_source = 3

    assert livekit_private.interruption_source(object()) is None
    assert livekit_private.interruption_source(None) is None
    assert livekit_private.interruption_source(Other()) is None
    assert not livekit_private.user_turn_claimed(object())
    assert not livekit_private.user_turn_claimed(None)
    assert livekit_private.task_error(object()) is None
    assert livekit_private.task_error(None) is None
    assert not livekit_private.counts_discarded(object())
    assert not livekit_private.counts_discarded(None)
    for nobody in (object(), None):
        assert not livekit_private.is_closing(nobody)
        assert not livekit_private.is_off(nobody)
        assert not livekit_private.is_busy(nobody)
        assert livekit_private.closing_task(nobody) is None


async def test_how_a_job_came_to_its_process() -> None:
    context = Job().context
    assert livekit_private.dispatch_times(context) == (None,) * 4
    assert livekit_private.dispatch_times(None) == (None,) * 4
    if TELLS_THE_DISPATCH:
        info = context._info
        info.received_at, info.accepted_at, info.assigned_at, info.launched_at = 1.0, 2.0, 3.0, 4.0
        assert livekit_private.dispatch_times(context) == (1.0, 2.0, 3.0, 4.0)


async def test_when_a_session_was_started() -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM("Hi."))
    assert livekit_private.session_started(session) is None
    before = time.time()
    await session.start(TracedAgent(instructions="x"))
    started = livekit_private.session_started(session)
    assert started is not None and before <= started <= time.time()
    await session.aclose()


async def test_what_decides_that_a_turn_is_over(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM("Hi."),
        stt=ScriptedSTT(),
        vad=ScriptedVAD(),
        turn_handling={
            "turn_detection": "vad",
            "endpointing": {"min_delay": 0.2, "max_delay": 2.0},
        },
    )
    assert livekit_private.turn_detection(session) is None
    await session.start(TracedAgent(instructions="x"))
    found = livekit_private.turn_detection(session)
    assert found is not None
    assert (found.mode, found.detector, found.prediction) == ("vad", None, None)
    assert (found.min_delay, found.max_delay, found.deciding) == (0.2, 2.0, False)
    await session.aclose()


def test_the_samples_of_a_frame_are_what_is_public_of_them() -> None:
    samples = bytes(range(8))
    for given in (samples, bytearray(samples), memoryview(samples)):
        frame = rtc.AudioFrame(given, 8000, 2, 2)
        assert bytes(livekit_private.samples_of(frame)) == bytes(frame.data) == samples
