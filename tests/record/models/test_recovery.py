"""What fails, and what becomes of it: tried again, taken over by another model, given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import AgentSession, APIConnectionError, StopResponse, llm, stt, tts
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions

from prefactor_agent import TracedAgent
from support.line import NO_RETRIES, Line, until
from support.scripted import (
    NO_RETRY,
    ScriptedLLM,
    ScriptedSTT,
    ScriptedTTS,
    ScriptedVAD,
    Speaker,
    silence,
    sound,
)
from support.tree import Recorder, check, of, outline

ONE_RETRY = APIConnectOptions(max_retry=1, retry_interval=0.0)
FATAL = SessionConnectOptions(
    stt_conn_options=NO_RETRY,
    llm_conn_options=NO_RETRY,
    tts_conn_options=NO_RETRY,
    max_unrecoverable_errors=0,
)


def lost(words: str = "lost") -> APIConnectionError:
    return APIConnectionError(words)


async def say(sink: Recorder, voice: Any, **options: Any) -> AgentSession[None]:
    """Have a voice say something, as fast as it goes."""
    session: AgentSession[None] = AgentSession(tts=voice, **options)
    session.output.audio = Speaker(speed=4)
    await session.start(TracedAgent(instructions="help"))
    async with asyncio.timeout(10):
        await session.say("Hello.")
    return session


async def ask(sink: Recorder, model: Any, **options: Any) -> None:
    session: AgentSession[None] = AgentSession(llm=model, **{"conn_options": NO_RETRIES, **options})
    async with asyncio.timeout(10):
        await session.start(TracedAgent(instructions="help"))
        await session.generate_reply(user_input="hello?")
        await session.aclose()


# Tried again


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_voice_that_is_tried_again(streaming: bool, sink: Recorder) -> None:
    options = SessionConnectOptions(tts_conn_options=ONE_RETRY)
    voice = ScriptedTTS(lost("once"), None, streaming=streaming)
    session = await say(sink, voice, conn_options=options)
    await session.aclose()
    assert outline(sink) == [
        "session",
        "  assistant_turn: Hello.",
        "    transcription: Hello.",
        "    tts: Hello.",
        "      error [failed]: ScriptedTTS: once",
    ]
    check(sink)
    (error,) = of(sink, "error")
    assert error["payload"]["recoverable"] is True
    assert error["payload"]["model_name"] == "scripted-tts"
    (turn,), (node,) = of(sink, "assistant_turn"), of(sink, "tts")
    assert "error" not in turn["result"]
    assert node["result"]["audio_seconds"] > 0


async def test_speech_recognition_that_is_tried_again(sink: Recorder) -> None:
    """Of a whole utterance: the STT does not stream."""
    line = Line(
        hears=ScriptedSTT(lost("once"), "hello", streaming=False), thinks=ScriptedLLM("Hi.")
    )
    line.session.conn_options.stt_conn_options = ONE_RETRY
    async with line.to(TracedAgent(instructions="help")):
        await line.says(then=1)
        await line.answers()
    check(sink)
    (user,), (error,) = of(sink, "user_turn"), of(sink, "error")
    assert user["result"]["transcript"] == "hello"
    assert error["payload"]["recoverable"] is True


# Taken over


async def test_another_model_takes_over(sink: Recorder) -> None:
    model = llm.FallbackAdapter([ScriptedLLM([lost("down")]), ScriptedLLM(["Hi."])])
    await ask(sink, model)
    assert outline(sink) == [
        "session",
        "  user_turn: hello?",
        "  assistant_turn: Hi.",
        "    llm: Hi.",
        "      error [failed]: ScriptedLLM: down",
        "    transcription: Hi.",
    ]
    check(sink)
    (error,) = of(sink, "error")
    assert (error["payload"]["error_type"], error["payload"]["recoverable"]) == (
        "APIConnectionError",
        True,
    )
    assert error["payload"]["model_name"] == "scripted-llm"
    assert "error" not in of(sink, "assistant_turn")[0]["result"]
    assert not model._events["llm_availability_changed"]  # nothing of ours is left


async def test_another_voice_takes_over(sink: Recorder) -> None:
    voice = tts.FallbackAdapter(
        [ScriptedTTS(lost("down"), lost("down")), ScriptedTTS()], max_retry_per_tts=0
    )
    session = await say(sink, voice)
    await session.aclose()
    await voice.aclose()
    check(sink)
    (turn,), (node,), (error,) = (of(sink, type_) for type_ in ("assistant_turn", "tts", "error"))
    assert (turn["status"], node["status"]) == ("complete", "complete")
    assert error["parent_id"] == node["id"]
    assert (error["payload"]["message"], error["payload"]["recoverable"]) == ("down", True)


async def test_another_ear_takes_over(sink: Recorder) -> None:
    ears = stt.FallbackAdapter(
        [
            ScriptedSTT(*[lost("down")] * 5, streaming=False),
            ScriptedSTT("hello", streaming=False),
        ],
        vad=ScriptedVAD(),
        max_retry_per_stt=0,
    )
    line = Line(hears=ears, thinks=ScriptedLLM("Hi."))
    async with line.to(TracedAgent(instructions="help")):
        await line.says(then=0.5)  # lost with the first ear
        await line.says(then=1)
        await line.answers()
    check(sink)
    assert of(sink, "user_turn")[-1]["result"]["transcript"] == "hello"
    errors = of(sink, "error")
    assert [error["payload"]["message"] for error in errors] == ["down"]
    assert errors[0]["payload"]["recoverable"] is True


# Given up


async def test_all_models_fail(sink: Recorder) -> None:
    model = llm.FallbackAdapter([ScriptedLLM([lost("one")]), ScriptedLLM([lost("two")])])
    await ask(sink, model)
    check(sink)
    (turn,), (node,) = of(sink, "assistant_turn"), of(sink, "llm")
    assert (turn["status"], node["status"]) == ("failed", "failed")
    told = [
        (error["payload"]["message"][:8], error["payload"]["recoverable"])
        for error in of(sink, "error")
    ]
    assert told == [("one", True), ("two", True), ("all LLMs", False)]
    assert {error["parent_id"] for error in of(sink, "error")} == {node["id"]}
    assert turn["result"]["error"]["message"].startswith("all LLMs")


async def test_a_voice_that_is_given_up_closes_the_session(sink: Recorder) -> None:
    voice = ScriptedTTS(*[lost("no voice")] * 4)
    await say(sink, voice, conn_options=FATAL)
    async with asyncio.timeout(10):
        await until(lambda: not sink.of("livekit:session")[0].open)
    check(sink)
    (root,), (turn,) = of(sink, "session"), of(sink, "assistant_turn")
    assert (root["status"], root["result"]["close_reason"]) == ("failed", "error")
    assert root["result"]["error"]["message"] == "no voice"
    assert turn["status"] == "failed"


async def test_ears_that_are_given_up(sink: Recorder) -> None:
    """From some version on that closes the session, as the other models do; before, it goes on
    deaf."""
    line = Line(hears=ScriptedSTT(*[lost("deaf")] * 9), thinks=ScriptedLLM(), tries=FATAL)
    async with line.to(TracedAgent(instructions="help")):
        line.microphone.play([*sound(0.3), *silence(0.3)])
        await until(lambda: sink.of("livekit:error"))
        await asyncio.sleep(0.3)
    check(sink)
    (root,) = of(sink, "session")
    assert root["result"]["close_reason"] in ("error", "user_initiated")
    assert (root["status"] == "failed") == (root["result"]["close_reason"] == "error")
    assert of(sink, "error")[0]["payload"]["recoverable"] is False


# The agent's own code


class Fragile(TracedAgent):
    """Fails in the hook that it is told to."""

    def __init__(self, hook: str) -> None:
        super().__init__(instructions="help")
        self.hook = hook

    async def on_enter(self) -> None:
        self.fail("on_enter")

    async def on_exit(self) -> None:
        self.fail("on_exit")

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        self.fail("on_user_turn_completed")

    def fail(self, hook: str) -> None:
        if hook == self.hook:
            raise LookupError(f"{hook} has a defect")


@pytest.mark.parametrize("hook", ["on_enter", "on_exit"])
async def test_a_hook_that_fails(hook: str, sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hi."]))
    await session.start(Fragile(hook))
    await session.run(user_input="hello?")
    await session.aclose()
    check(sink)
    (error,), (root,) = of(sink, "error"), of(sink, "session")
    assert error["parent_id"] == root["id"]
    assert error["payload"]["source"] == hook
    assert error["payload"]["message"] == f"{hook} has a defect"
    noted = {one["name"]: one["status"] for one in root["result"]["hooks"]}
    assert noted[hook] == "failed"
    assert root["status"] == "complete"
    assert of(sink, "assistant_turn")[0]["result"]["spoken_text"] == "Hi."


@pytest.mark.parametrize("error", [LookupError("has a defect"), StopResponse()])
async def test_a_turn_that_the_hook_ends(error: Exception, sink: Recorder) -> None:
    class Ends(TracedAgent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            raise error

    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM())
    async with line.to(Ends(instructions="help")):
        await line.says(then=1)
    check(sink)
    told = [(one["payload"]["source"], one["payload"]["message"]) for one in of(sink, "error")]
    hooks = {one["name"]: one["status"] for one in of(sink, "session")[0]["result"]["hooks"]}
    if isinstance(error, StopResponse):
        assert told == []
        assert hooks["on_user_turn_completed"] == "complete"
    else:
        assert told == [("on_user_turn_completed", "has a defect")]
        assert hooks["on_user_turn_completed"] == "failed"
    assert of(sink, "assistant_turn") == []
    (user,) = of(sink, "user_turn")
    assert user["result"]["transcript"] == "hello"


async def test_a_listener_that_fails(sink: Recorder) -> None:
    """LiveKit logs it, and tells the others all the same."""
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Hi."]), conn_options=NO_RETRIES)

    def defect(_event: Any) -> None:
        raise LookupError("a defect")

    for event in ("speech_created", "conversation_item_added", "agent_state_changed", "close"):
        session.on(event, defect)  # type: ignore[arg-type]
    await session.start(TracedAgent(instructions="help"))
    await session.run(user_input="hello?")
    await session.aclose()
    assert outline(sink) == [
        "session",
        "  user_turn: hello?",
        "  assistant_turn: Hi.",
        "    llm: Hi.",
        "    transcription: Hi.",
    ]
    check(sink)


@pytest.mark.parametrize("node", ["stt_node", "tts_node"])
async def test_a_node_that_raises(node: str, sink: Recorder) -> None:
    async def broken(self: Any, stream: Any, settings: Any) -> Any:
        async for _item in stream:
            raise LookupError(f"{node} has a defect")
            yield

    agent_class = type("Broken", (TracedAgent,), {node: broken})
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Hi."))
    async with line.to(agent_class(instructions="help")):
        if node == "tts_node":
            await line.session.say("Hello.")
        else:
            await line.says(then=0.2)
        await until(lambda: sink.of("livekit:error"))
    check(sink)
    error = of(sink, "error")[0]
    assert (error["payload"]["source"], error["payload"]["message"]) == (
        node,
        f"{node} has a defect",
    )
    if node == "tts_node":
        (voice,) = of(sink, "tts")
        assert (voice["status"], error["parent_id"]) == ("failed", voice["id"])
