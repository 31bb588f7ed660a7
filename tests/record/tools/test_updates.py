"""Tools that report progress and go on in the background: what they reported, and the speeches that
were made for it."""

from __future__ import annotations

import asyncio
from typing import Any

import livekit.agents
import pytest
from livekit.agents import RunContext, function_tool

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.record.tools import updates
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.tree import JSON, Recorder, check

pytestmark = pytest.mark.skipif(
    not hasattr(livekit.agents, "ToolExecutionUpdatedEvent"), reason="from 1.6 on"
)
DECORATORS = pytest.mark.parametrize("decorate", [function_tool, traced_tool])


async def book(ctx: RunContext[Any]) -> str:
    """Book."""
    await ctx.update("searching flights")
    await asyncio.sleep(0.8)
    await ctx.update("found three")
    await asyncio.sleep(0.8)
    return "booked AB12"


async def in_a_call(tool: Any, answers: int, *words: str, then: float = 0.0) -> None:
    """Have the model call a tool, and wait for so many answers."""
    line = Line(
        hears=ScriptedSTT("fly me to Rome"),
        thinks=ScriptedLLM([Use(tool.info.name)], *words),
    )
    async with line.to(TracedAgent(instructions="x", tools=[tool])):
        await line.says()
        await line.answers(answers)
        await asyncio.sleep(then)


def the_tool(spans: list[JSON], name: str = "book") -> JSON:
    (tool,) = [
        span
        for span in spans
        if span["name"] == name and span["type"].startswith("livekit:tool") and _is_input(span)
    ]
    return tool


def _is_input(span: JSON) -> bool:
    return bool(span["type"] != "livekit:tool_result")


def offset_us(span: JSON, sink: Recorder) -> int:
    """When a span began, on the axis of the call."""
    root = next(one for one in sink.as_dicts() if one["parent_id"] is None)
    return int(span["started_us"] - root["started_us"])


def turns(spans: list[JSON]) -> list[JSON]:
    return [span for span in spans if span["type"] == "livekit:assistant_turn"]


@DECORATORS
async def test_each_report_is_there_with_its_time_and_text(decorate: Any, sink: Recorder) -> None:
    await in_a_call(decorate(book), 3, "I search.", "Three.", "Booked.")
    tool = the_tool(check(sink))
    result = tool["result"]
    first, second = result["updates"]
    assert (first["text"], first["silent"], first["inline"]) == ("searching flights", False, True)
    assert (second["text"], second["silent"]) == ("found three", False)
    assert "inline" not in second
    assert 0 <= first["at_us"] - offset_us(tool, sink) < 50_000
    assert 790_000 < second["at_us"] - first["at_us"] < 900_000
    assert result["outputs"]["output"] == "booked AB12"


@DECORATORS
async def test_the_speeches_that_are_made_for_reports_are_linked(
    decorate: Any, sink: Recorder
) -> None:
    await in_a_call(decorate(book), 3, "I search.", "Three.", "Booked.")
    spans = check(sink)
    tool = the_tool(spans)
    by_words = {turn["result"]["spoken_text"]: turn for turn in turns(spans)}
    call_id = tool["payload"]["call_id"]
    links = {
        words: [
            (link["tool_id"], link["tool_name"], link["update_ids"])
            for link in turn["payload"].get("reply_to", [])
        ]
        for words, turn in by_words.items()
    }
    assert links == {
        "I search.": [],
        "Three.": [(tool["id"], "book", [f"{call_id}_update_1"])],
        "Booked.": [(tool["id"], "book", [f"{call_id}_final"])],
    }
    first, second = tool["result"]["updates"]
    assert "reply_id" not in first
    assert second["reply_id"] == by_words["Three."]["id"]


@DECORATORS
async def test_a_tool_that_outlives_its_turn_ends_with_it_and_says_how_long_it_ran(
    decorate: Any, sink: Recorder
) -> None:
    async def late(ctx: RunContext[Any]) -> str:
        """Late."""
        await ctx.update("one moment")
        await asyncio.sleep(3)
        return "done"

    await in_a_call(decorate(late), 2, "I search.", "Done.")
    spans = check(sink)
    tool = the_tool(spans, "late")
    turn = next(span for span in spans if span["id"] == tool["parent_id"])
    assert turn["type"] == "livekit:assistant_turn"
    assert tool["finished_us"] == turn["finished_us"]
    assert 3_000 < tool["result"]["duration_ms"] < 3_200
    assert tool["result"]["finished_us"] - offset_us(tool, sink) == pytest.approx(
        tool["result"]["duration_ms"] * 1000, abs=2
    )


async def test_what_a_tool_begins_after_its_turn_lies_in_the_session(sink: Recorder) -> None:
    @traced_tool
    async def inner() -> str:
        """Inner."""
        await asyncio.sleep(0.1)
        return "in"

    @traced_tool
    async def late(ctx: RunContext[Any]) -> str:
        """Late."""
        before = await inner()
        await ctx.update("one moment")
        await asyncio.sleep(3)
        return before + await inner()

    await in_a_call(late, 2, "I search.", "Done.")
    spans = check(sink)
    tool = the_tool(spans, "late")
    root = next(span for span in spans if span["parent_id"] is None)
    parents = [span["parent_id"] for span in spans if span["type"] == "livekit:tool:inner"]
    assert parents == [tool["id"], root["id"]]


class Ask(TracedAgentTask[str]):
    async def on_enter(self) -> None:
        self.session.generate_reply()

    async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
        self.complete("done")


async def test_a_dialogue_that_a_background_tool_holds_lies_in_the_session(sink: Recorder) -> None:
    @traced_tool
    async def ask(ctx: RunContext[Any]) -> str:
        """Ask."""
        await ctx.update("one moment")
        await asyncio.sleep(2)
        answer: str = await Ask(instructions="ask")
        return answer

    line = Line(
        hears=ScriptedSTT("fly me to Rome", "yes"),
        thinks=ScriptedLLM([Use("ask")], "I search.", "Is that right?", *["Done."] * 3),
    )
    async with line.to(TracedAgent(instructions="x", tools=[ask])):
        await line.says()
        await line.answers(2)
        await line.says()
        await asyncio.sleep(1)
    spans = check(sink)
    tool = the_tool(spans, "ask")
    assert tool["result"]["outcome"] == "returned"
    root = next(span for span in spans if span["parent_id"] is None)
    assert {turn["parent_id"] for turn in turns(spans)} == {root["id"]}


@DECORATORS
async def test_a_silent_report_says_so_and_has_no_speech(decorate: Any, sink: Recorder) -> None:
    async def quiet(ctx: RunContext[Any]) -> str:
        """Quiet."""
        await ctx.update("found it", silent=True)
        await asyncio.sleep(0.2)
        await ctx.update("almost", silent=True)
        await asyncio.sleep(0.2)
        return "done"

    await in_a_call(decorate(quiet), 1, "Done.", then=0.5)
    spans = check(sink)
    reports = the_tool(spans, "quiet")["result"]["updates"]
    assert [(report["text"], report["silent"]) for report in reports] == [
        ("found it", True),
        ("almost", True),
    ]
    assert not any("reply_id" in report for report in reports)


async def test_reports_that_one_speech_is_made_for_name_the_same_speech(sink: Recorder) -> None:
    @traced_tool
    async def hasty(ctx: RunContext[Any]) -> str:
        """Hasty."""
        for text in ("one", "two", "three"):
            await ctx.update(text)
        return "four"

    await in_a_call(hasty, 2, "One.", "Four.")
    spans = check(sink)
    tool = the_tool(spans, "hasty")
    (reply,) = [turn for turn in turns(spans) if "reply_to" in turn["payload"]]
    (link,) = reply["payload"]["reply_to"]
    call_id = tool["payload"]["call_id"]
    assert link["update_ids"] == [
        f"{call_id}_update_1",
        f"{call_id}_update_2",
        f"{call_id}_final",
    ]


async def test_a_report_that_livekit_refuses_says_so(sink: Recorder) -> None:
    @traced_tool
    async def odd(ctx: RunContext[Any]) -> str:
        """Odd."""
        await ctx.update(object())
        await asyncio.sleep(0.3)
        await ctx.update(object())
        await asyncio.sleep(0.3)
        return "done"

    await in_a_call(odd, 3, "Hm.", "Hm, hm.", "Done.")
    reports = the_tool(check(sink), "odd")["result"]["updates"]
    assert [report.get("is_error") for report in reports] == [True, True]


async def test_reports_are_bounded_and_counted(
    sink: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "KEPT", 3)

    @traced_tool
    async def chatty(ctx: RunContext[Any]) -> str:
        """Chatty."""
        for number in range(5):
            await ctx.update(str(number), silent=True)
        return "done"

    await in_a_call(chatty, 1, "Done.", then=0.3)
    result = the_tool(check(sink), "chatty")["result"]
    assert [report["text"] for report in result["updates"]] == ["0", "1", "2"]
    assert result["updates_omitted"] == 2


async def test_a_tool_that_reports_nothing_has_no_reports(sink: Recorder) -> None:
    @traced_tool
    async def plain() -> str:
        """Plain."""
        return "done"

    await in_a_call(plain, 1, "Done.")
    assert "updates" not in the_tool(check(sink), "plain")["result"]
