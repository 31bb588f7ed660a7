"""Every view gives one number for one silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, RunContext

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import Trace, collecting
from prefactor_agent.view.export.outline import outline
from support import virtual_time
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use, Wait
from view import calls
from view.one_silence import Said, assert_one, of
from view.report import report_calls


def measured(spans: list[StoredSpan], *silences: float) -> list[StoredSpan]:
    """The call with what its session span says of these silences."""
    said = of(silences)
    spans[0].result["latency"] = {
        "turns": said.count,
        "median_ms": said.median,
        "worst_ms": said.worst,
    }
    return spans


def killed(spans: list[StoredSpan]) -> list[StoredSpan]:
    """The call as it is kept once its process has died while it spoke."""
    ended = calls.us(4000)
    return [
        span
        if span.finished_us is not None
        else replace(
            span, status="failed", finished_us=ended, result={**span.result, "lost_end": True}
        )
        for span in spans
    ]


def speaking() -> list[StoredSpan]:
    """A call that runs: the answer comes out as text, and has not ended."""
    words = {"streams": {"text": calls.text_stream((900, "It ships"))}}
    return [
        *calls.unanswered_call(),
        calls.span("x1", "transcription", 2600, None, "a1", result=words),
    ]


def over_budget() -> list[StoredSpan]:
    return measured(calls.over_budget_call(), 2400.0)


@pytest.mark.parametrize(
    "made, silences",
    [
        (lambda: measured(calls.spoken_call(), 2400), [2400]),
        (over_budget, [2400]),
        (lambda: measured(calls.task_call(), 700, 300), [700, 300]),
        (lambda: measured(calls.searching_call(), 1200), [1200]),
        (lambda: measured(calls.realtime_call(), 400), [400]),
        (lambda: measured(report_calls.small(), 1970), [1970]),
        (calls.unanswered_call, []),
        (speaking, [1500]),
        (lambda: killed(speaking()), [1500]),
    ],
)
def test_every_view_says_the_same_of_a_call_by_hand(
    made: Callable[[], list[StoredSpan]], silences: list[float], tmp_path: Path
) -> None:
    assert assert_one(made(), tmp_path) == of(silences)


def test_a_speech_that_ended_without_a_latency_ended_no_silence(tmp_path: Path) -> None:
    spans = calls.over_budget_call()
    spans += [
        calls.question("u2", 7000, 8000, "And today?"),
        calls.answer("a2", 8000, 9500, user_turn_id="u2", spoken_text="Today, too."),
    ]
    assert assert_one(measured(spans, 2400), tmp_path) == Said(1, 2400, 2400)


def test_a_version_that_measures_and_did_not_is_believed(tmp_path: Path) -> None:
    spans = calls.spoken_call()
    spans[3].result["finished_at"] = 1795242678.4
    assert assert_one(spans, tmp_path) == Said(0, None, None)


def test_a_silence_of_no_length_is_none(tmp_path: Path) -> None:
    spans = calls.over_budget_call()
    spans[3].result["latency"] = {"perceived_ms": 0.0, "stages": [], "overlap_ms": 100.0}
    assert assert_one(spans, tmp_path) == Said(0, None, None)


# Recorded calls


class Shop(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer the phone of a shop.")

    @traced_tool
    async def look(self, context: RunContext[None]) -> str:
        """Look."""
        self.session.say("One moment.")
        await asyncio.sleep(0.8)
        return "done"

    @traced_tool
    async def create(self, size: int) -> str:
        """Create."""
        await asyncio.sleep(1.0)
        return "order"

    @traced_tool
    async def book(self) -> str:
        """Book."""
        return f"booked for {await AskName()}"


class AskName(TracedAgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the name.")

    async def on_enter(self) -> None:
        self.session.say("Your name?")

    @traced_tool
    async def note(self, name: str) -> None:
        """Note the name."""
        self.complete(name)


Talk = Callable[[Trace], Coroutine[Any, Any, None]]


def recorded(talk: Talk) -> Trace:
    with collecting() as trace:
        virtual_time.run(talk(trace))
    return trace


async def over(trace: Trace) -> None:
    """Read the turns before the session ends, as the journal does."""
    await asyncio.sleep(1)
    trace.spans()


async def filler(trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("go"), thinks=ScriptedLLM([Use("look")], "It is done."))
    async with line.to(Shop()):
        await line.says()
        await line.answers(2)
        await over(trace)


async def never_heard(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("six people", "hello?"),
        thinks=ScriptedLLM([Use("create", {"size": 6})], "Made.", "There you are, made."),
    )
    async with line.to(Shop()):
        await line.says()
        await asyncio.sleep(0.1)
        await line.says(0.6)
        await line.answers(1)
        await over(trace)


async def task(trace: Trace) -> None:
    line = Line(
        hears=ScriptedSTT("book a room", "Ada"),
        thinks=ScriptedLLM([Use("book")], [Use("note", {"name": "Ada"})], [Wait(0.2), "Booked."]),
    )
    async with line.to(Shop()):
        await line.says()
        await line.answers(1)
        await line.says()
        await line.answers(2)
        await over(trace)


async def typed(trace: Trace) -> None:
    async with AgentSession[None](llm=ScriptedLLM([Wait(0.3), "Noon."]), vad=None) as session:
        await session.start(Shop())
        await session.run(user_input="What time is it?")
        await over(trace)


@pytest.mark.parametrize("talk, count", [(filler, 1), (never_heard, 1), (task, 2), (typed, 1)])
def test_every_view_says_the_same_of_a_recorded_call(
    talk: Talk, count: int, tmp_path: Path
) -> None:
    trace = recorded(talk)
    said = assert_one(trace.spans(), tmp_path)
    assert said.count == count
    latencies = [turn.latency.perceived_ms for turn in trace.turns if turn.latency is not None]
    assert of(latencies) == said


def test_the_silence_of_a_question_tells_when_its_own_answer_came() -> None:
    trace = recorded(filler)
    call = outline(trace.spans())
    answers = {span.payload["source"]: span.result for span in trace.spans("assistant_turn")}
    asked = call["turns"][0]
    assert asked["user"] == "go"
    assert asked["silence_ms"] == answers["say"]["latency"]["perceived_ms"]
    assert asked["answer_ms"] == answers["generate_reply"]["answer_ms"]
    assert asked["answer_ms"] > asked["silence_ms"] + 700
    assert call["answer_worst_ms"] == asked["answer_ms"]
    assert [turn["silence_ms"] for turn in call["turns"][1:] if turn["silence_ms"]] == []
