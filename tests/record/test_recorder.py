"""Text sessions: every kind of turn as a whole tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    RunContext,
    StopResponse,
    ToolError,
)
from livekit.agents.voice.agent_session import SessionConnectOptions

from prefactor_agent import TracedAgent, traced_tool
from support.scripted import NO_RETRY, ScriptedLLM, ScriptedTTS, Speaker, Use, Wait
from support.tree import Recorder, check, moments, of, outline

NO_RETRIES = SessionConnectOptions(
    stt_conn_options=NO_RETRY, llm_conn_options=NO_RETRY, tts_conn_options=NO_RETRY
)


class Clerk(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="help")
        self.both = asyncio.Barrier(2)

    @traced_tool
    async def price(self, item: str) -> str:
        """What an item costs."""
        return f"{item}: 3"

    @traced_tool
    async def stock(self, item: str) -> str:
        """How many there are; waits for the other call that runs at the same time."""
        await self.both.wait()
        return f"{item}: 7"

    @traced_tool
    async def refuse(self) -> str:
        """Says no."""
        raise ToolError("no")

    @traced_tool
    async def breaks(self, context: RunContext[None]) -> str:
        """Has a defect."""
        raise KeyError("defect")

    @traced_tool
    async def silent(self) -> str:
        """Wants no answer."""
        raise StopResponse


@asynccontextmanager
async def running(
    *replies: Any, agent: Agent | None = None, **options: Any
) -> AsyncIterator[AgentSession[None]]:
    model = ScriptedLLM(*replies)
    session: AgentSession[None] = AgentSession(llm=model, conn_options=NO_RETRIES, **options)
    async with asyncio.timeout(20):
        await session.start(agent or Clerk())
        yield session
        await session.aclose()


# Turns


TEA = [
    "  user_turn: tea?",
    "  assistant_turn: It is three.",
    "    llm",
    "    llm: It is three.",
    "    tool:price: returned",
    "      tool_result price: returned",
    "    transcription: It is three.",
]
"""The turn of a question for which the model asks a tool."""


async def test_a_tool_turn_has_its_two_llm_calls_under_one_turn(sink: Recorder) -> None:
    async with running([Use("price", {"item": "tea"})], ["It is ", "three."]) as session:
        await session.run(user_input="tea?")
    assert outline(sink) == ["session", *TEA]
    check(sink)
    first, second = of(sink, "llm")
    (tool,) = of(sink, "tool:price")
    (told,) = of(sink, "tool_result")
    (turn,) = of(sink, "assistant_turn")
    assert first["result"]["finish_reason"] == "tool-calls"
    assert second["result"]["finish_reason"] == "stop"
    assert first["started_us"] <= tool["started_us"] <= tool["finished_us"] <= second["started_us"]
    assert told["started_us"] == told["finished_us"] == tool["finished_us"]
    assert tool["payload"]["inputs"] == {"item": "tea"}
    assert tool["result"]["outputs"] == told["result"]["outputs"] == {"output": "tea: 3"}
    assert first["result"]["tool_calls"][0]["call_id"] == tool["payload"]["call_id"]
    assert turn["result"]["tool_calls"] == 1
    asked = [message.get("content") for message in second["payload"]["inputs"]["messages"]]
    assert asked[-1] == "tea: 3"
    (user,) = of(sink, "user_turn")
    assert user["payload"]["modality"] == "text"
    assert turn["result"]["user_turn_id"] == user["id"]


@pytest.mark.parametrize("items", [("tea", "jam"), ("tea", "tea")])
async def test_calls_at_the_same_time_keep_their_own_spans(
    items: tuple[str, str], sink: Recorder
) -> None:
    uses = [Use("stock", {"item": item}) for item in items]
    async with running(uses, ["Seven."]) as session:
        await session.run(user_input="stock?")
    assert outline(sink) == [
        "session",
        "  user_turn: stock?",
        "  assistant_turn: Seven.",
        "    llm",
        "    llm: Seven.",
        "    tool:stock: returned",
        "      tool_result stock: returned",
        "    tool:stock: returned",
        "      tool_result stock: returned",
        "    transcription: Seven.",
    ]
    check(sink)
    tools, told = of(sink, "tool:stock"), of(sink, "tool_result")
    assert [tool["payload"]["inputs"]["item"] for tool in tools] == list(items)
    assert [tool["result"]["outputs"]["output"] for tool in tools] == [f"{i}: 7" for i in items]
    assert len({tool["payload"]["call_id"] for tool in tools}) == 2
    for result in told:
        (parent,) = [tool for tool in tools if tool["id"] == result["parent_id"]]
        assert parent["payload"]["call_id"] == result["payload"]["call_id"]
        assert parent["result"] == result["result"]
    # Neither could end before both had begun.
    assert max(t["started_us"] for t in tools) <= min(t["finished_us"] for t in tools)


async def test_the_same_tool_in_two_steps_of_one_turn(sink: Recorder) -> None:
    steps = [[Use("price", {"item": item})] for item in ("tea", "jam")]
    async with running(*steps, ["Both three."]) as session:
        await session.run(user_input="both?")
    assert outline(sink)[2:] == [
        "  assistant_turn: Both three.",
        "    llm",
        "    llm",
        "    llm: Both three.",
        "    tool:price: returned",
        "      tool_result price: returned",
        "    tool:price: returned",
        "      tool_result price: returned",
        "    transcription: Both three.",
    ]
    check(sink)
    one, other = of(sink, "tool:price")
    assert one["finished_us"] <= other["started_us"]
    assert (one["payload"]["inputs"]["item"], other["payload"]["inputs"]["item"]) == ("tea", "jam")


@pytest.mark.parametrize(
    ("tool", "outcome", "status"),
    [
        ("refuse", "tool_error", " [failed]"),
        ("breaks", "exception", " [failed]"),
    ],
)
async def test_a_tool_that_fails(tool: str, outcome: str, status: str, sink: Recorder) -> None:
    async with running([Use(tool)], ["Sorry."]) as session:
        await session.run(user_input="go")
    assert outline(sink)[2:] == [
        "  assistant_turn: Sorry.",
        "    llm",
        "    llm: Sorry.",
        f"    tool:{tool}{status}: {outcome}",
        f"      tool_result {tool}{status}: {outcome}",
        "    transcription: Sorry.",
    ]
    check(sink)
    (told,) = of(sink, "tool_result")
    assert told["result"]["error"]["message"] in ("no", "'defect'")


async def test_a_tool_that_wants_no_answer(sink: Recorder) -> None:
    async with running([Use("silent")]) as session:
        await session.run(user_input="go")
    assert outline(sink)[2:] == [
        "  assistant_turn",
        "    llm",
        "    tool:silent: stop_response",
        "      tool_result silent: stop_response",
    ]
    check(sink)


async def test_say_a_text(sink: Recorder) -> None:
    async with running() as session:
        await session.say("Welcome.")
    assert outline(sink) == [
        "session",
        "  assistant_turn: Welcome.",
        "    transcription: Welcome.",
    ]
    check(sink)
    (turn,) = of(sink, "assistant_turn")
    assert turn["payload"]["source"] == "say"
    assert turn["result"]["interrupted"] is False
    assert "user_turn_id" not in turn["result"]


async def test_say_what_a_generator_gives(sink: Recorder) -> None:
    async def text() -> AsyncIterator[str]:
        for word in ("One ", "two ", "three."):
            await asyncio.sleep(0)
            yield word

    async with running() as session:
        await session.say(text())
    assert outline(sink)[1:] == [
        "  assistant_turn: One two three.",
        "    transcription: One two three.",
    ]
    check(sink)
    (node,) = of(sink, "transcription")
    assert node["chunks"]["text"]["text"] == ["One ", "two ", "three."]


async def test_say_through_a_voice(sink: Recorder) -> None:
    voice = ScriptedTTS(seconds_per_character=0.005)
    session: AgentSession[None] = AgentSession(tts=voice)
    session.output.audio = speaker = Speaker(speed=4)
    await session.start(Clerk())
    await session.say("Hello there.")
    await session.aclose()
    assert outline(sink)[1:] == [
        "  assistant_turn: Hello there.",
        "    transcription: Hello there.",
        "    tts: Hello there.",
    ]
    check(sink)
    (turn,), (tts,) = of(sink, "assistant_turn"), of(sink, "tts")
    seconds = sum(frame.duration for frame in speaker.frames)
    assert tts["result"]["audio_seconds"] == pytest.approx(seconds, abs=0.001)
    assert turn["result"]["playback_position_s"] == pytest.approx(seconds, abs=0.001)
    assert turn["result"]["interrupted"] is False


async def test_reply_to_instructions_and_to_words(sink: Recorder) -> None:
    async with running(["Greetings."], ["Noon."]) as session:
        await session.generate_reply(instructions="greet")
        await session.generate_reply(user_input="what time?")
    assert outline(sink) == [
        "session",
        "  assistant_turn: Greetings.",
        "    llm: Greetings.",
        "    transcription: Greetings.",
        "  user_turn: what time?",
        "  assistant_turn: Noon.",
        "    llm: Noon.",
        "    transcription: Noon.",
    ]
    check(sink)
    greeting, answer = of(sink, "assistant_turn")
    assert [t["payload"]["source"] for t in (greeting, answer)] == ["generate_reply"] * 2
    assert "user_turn_id" not in greeting["result"]
    assert answer["result"]["user_turn_id"] == of(sink, "user_turn")[0]["id"]
    instructed = [m.get("content") for m in of(sink, "llm")[0]["payload"]["inputs"]["messages"]]
    assert any("greet" in str(content) for content in instructed)


async def test_two_speeches_in_the_queue(sink: Recorder) -> None:
    async with running(["Two ", Wait(0.02), "three."]) as session:
        first = session.say("One.")
        second = session.generate_reply(instructions="count on")
        third = session.say("Four.")
        for speech in (first, second, third):
            await speech
    assert outline(sink) == [
        "session",
        "  assistant_turn: One.",
        "    transcription: One.",
        "  assistant_turn: Two three.",
        "    llm: Two three.",
        "    transcription: Two three.",
        "  assistant_turn: Four.",
        "    transcription: Four.",
    ]
    check(sink)
    turns = of(sink, "assistant_turn")
    assert [turn["payload"]["turn_index"] for turn in turns] == [1, 2, 3]
    ends = [turn["finished_us"] for turn in turns]
    assert ends == sorted(ends)
    # All three were there before the first was over.
    assert turns[2]["started_us"] <= turns[0]["finished_us"]


@pytest.mark.parametrize("before_us", [True, False])
async def test_a_speech_made_in_a_handler_of_another_one(before_us: bool, sink: Recorder) -> None:
    class Announcing(AgentSession[None]):
        # The emitter keeps handlers in a set: whether ours comes first is left to chance.
        def emit(self, event: Any, *args: Any) -> None:
            announces = event == "speech_created" and args[0].source != "say"
            if announces and before_us:
                self.say("One moment.")
            super().emit(event, *args)
            if announces and not before_us:
                self.say("One moment.")

    session = Announcing(
        llm=ScriptedLLM([Use("price", {"item": "tea"})], ["It is ", "three."]),
        conn_options=NO_RETRIES,
    )
    async with asyncio.timeout(20):
        await session.start(Clerk())
        await session.generate_reply(user_input="tea?")
        await session.aclose()
    announced = ["  assistant_turn: One moment.", "    transcription: One moment."]
    both = announced + TEA if before_us else TEA + announced
    assert outline(sink) == ["session", *both]
    check(sink)
    turns = {turn["payload"]["source"]: turn for turn in of(sink, "assistant_turn")}
    (user,) = of(sink, "user_turn")
    assert turns["generate_reply"]["result"]["user_turn_id"] == user["id"]
    assert "user_turn_id" not in turns["say"]["result"]
    assert {tool["payload"]["turn_index"] for tool in of(sink, "tool:price")} == {
        turns["generate_reply"]["payload"]["turn_index"]
    }


async def test_a_speech_dropped_from_the_queue_by_the_end(sink: Recorder) -> None:
    async with running(["One ", Wait(5), "never"]) as session:
        session.generate_reply(instructions="speak")
        session.say("Never said.")
        await asyncio.sleep(0.1)
        await session.interrupt(force=True)
    spans = check(sink)
    turns = [span for span in spans if span["type"] == "livekit:assistant_turn"]
    assert [turn["result"]["interrupted"] for turn in turns] == [True, True]
    assert turns[1]["status"] == "cancelled"
    assert turns[1]["result"]["spoken_text"] == ""
    (model,) = of(sink, "llm")
    assert model["status"] == "cancelled"
    assert model["result"]["text"] == "One "


# Errors


async def test_an_llm_error_ends_the_turn_and_is_told_once(sink: Recorder) -> None:
    async with running([APIConnectionError("no route", retryable=False)]) as session:
        await session.generate_reply(user_input="hello?")
    assert outline(sink) == [
        "session",
        "  user_turn: hello?",
        "  assistant_turn [failed]",
        "    llm [failed]",
        "      error [failed]: ScriptedLLM: no route",
    ]
    check(sink)
    (turn,), (error,), (model,) = (of(sink, t) for t in ("assistant_turn", "error", "llm"))
    assert turn["result"]["error"]["message"] == "no route"
    assert model["result"]["error"]["error_type"] == "APIConnectionError"
    assert error["payload"]["recoverable"] is False


async def test_an_llm_error_after_the_first_words(sink: Recorder) -> None:
    async with running(["It is ", APIConnectionError("cut", retryable=False)]) as session:
        await session.generate_reply(user_input="hello?")
    check(sink)
    (model,), (turn,) = of(sink, "llm"), of(sink, "assistant_turn")
    assert (model["status"], model["result"]["text"]) == ("failed", "It is ")
    assert turn["result"]["error"]["message"] == "cut"
    assert len(of(sink, "error")) == 1


async def test_an_llm_that_is_retried(sink: Recorder) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([APIConnectionError("once")], ["Well."]),
        conn_options=SessionConnectOptions(
            llm_conn_options=type(NO_RETRY)(max_retry=1, retry_interval=0.0)
        ),
    )
    await session.start(Clerk())
    await session.generate_reply(user_input="hello?")
    await session.aclose()
    assert outline(sink) == [
        "session",
        "  user_turn: hello?",
        "  assistant_turn: Well.",
        "    llm: Well.",
        "      error [failed]: ScriptedLLM: once",
        "    transcription: Well.",
    ]
    check(sink)
    assert of(sink, "error")[0]["payload"]["recoverable"] is True


async def test_a_node_that_raises(sink: Recorder) -> None:
    class Broken(Clerk):
        async def llm_node(self, *args: Any) -> Any:
            yield "It is "
            raise ValueError("defect")

    async with running(agent=Broken()) as session:
        await session.generate_reply(user_input="hello?")
    spans = check(sink)
    (model,) = of(sink, "llm")
    assert (model["status"], model["result"]["text"]) == ("failed", "It is ")
    errors = [span for span in spans if span["type"] == "livekit:error"]
    assert [(e["parent_id"], e["payload"]["message"]) for e in errors] == [(model["id"], "defect")]
    assert errors[0]["payload"]["source"] == "llm_node"


async def test_a_transcription_node_that_raises(sink: Recorder) -> None:
    class Broken(Clerk):
        async def transcription_node(self, text: Any, settings: Any) -> Any:
            async for word in text:
                yield word
                raise ValueError("defect")

    async with running(["It ", "is."], agent=Broken()) as session:
        await session.generate_reply(user_input="hello?")
    check(sink)
    (node,), (error,) = of(sink, "transcription"), of(sink, "error")
    assert node["status"] == "failed"
    assert error["parent_id"] == node["id"]


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_error_of_the_voice_is_below_its_span(streaming: bool, sink: Recorder) -> None:
    voice = ScriptedTTS(APIConnectionError("no voice", retryable=False), streaming=streaming)
    session: AgentSession[None] = AgentSession(tts=voice, conn_options=NO_RETRIES)
    session.output.audio = Speaker(speed=4)
    await session.start(Clerk())
    async with asyncio.timeout(10):
        await session.say("Hello.")
    await session.aclose()
    check(sink)
    (turn,), (tts,), (error,) = (of(sink, t) for t in ("assistant_turn", "tts", "error"))
    assert tts["parent_id"] == turn["id"]
    assert tts["status"] == "failed"
    assert error["parent_id"] == tts["id"]
    assert error["payload"]["message"] == "no voice"
    assert turn["result"]["error"]["message"] == "no voice"
    assert not tts["chunks"]["audio"].get("size")


# What a turn knows


async def test_text_chunks_can_be_replayed(sink: Recorder) -> None:
    async with running(["It ", Wait(0.02), "is ", "noon."]) as session:
        await session.generate_reply(user_input="time?")
    spans = check(sink)
    for kind in ("llm", "transcription"):
        (node,) = [span for span in spans if span["type"] == f"livekit:{kind}"]
        ((name, chunks),) = node["chunks"].items()
        assert chunks["text"] == ["It ", "is ", "noon."], name
        offsets = chunks["offset_us"]
        assert offsets == sorted(offsets)
        assert offsets[1] - offsets[0] >= 15_000
        assert offsets[-1] <= node["finished_us"] - node["started_us"]


async def test_the_session_counts(sink: Recorder) -> None:
    async with running([Use("price", {"item": "tea"})], ["Three."], ["Bye."]) as session:
        await session.run(user_input="tea?")
        await session.run(user_input="bye")
    (root,) = of(sink, "session")
    conversation = root["result"]["conversation"]
    assert conversation["user_messages"] == 2
    assert conversation["assistant_messages"] == 2
    assert conversation["function_calls"] == 1
    assert root["payload"]["agent_class"] == "Clerk"
    assert root["payload"]["models"]["llm"]["model_name"] == "scripted-llm"
    assert "tracer_failures" not in root["result"]
    (turn, _) = of(sink, "assistant_turn")
    assert "created" in moments(turn)
