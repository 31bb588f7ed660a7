"""The results of turns: the same whoever asks for them first."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conversation.simulated import Truth, calls
from conversation.timelines import Call, Tool
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.record.turns.results import EndedTurn, latency_summary
from prefactor_agent.testing import Trace, collecting
from record.turns.played import Player
from support.line import Line
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, ScriptedSTT, Use


def _said(ended: EndedTurn) -> tuple[Any, Any, Any]:
    return ended.question, ended.latency, ended.measured


@given(calls(), st.randoms(use_true_random=False))
def test_a_turn_has_the_same_result_whenever_and_in_whatever_order_it_is_asked_for(
    drawn: tuple[Call, Truth], random: Any
) -> None:
    spans = SpanTree(MemorySink())
    at_once: list[tuple[Any, Any, Any]] = []
    summaries: list[Any] = []
    known: list[EndedTurn] = []

    def resolve(ended: EndedTurn) -> None:
        known.append(ended)
        at_once.append(_said(ended))
        summaries.append(latency_summary(known))

    Player(drawn[0], spans, resolve).play()
    later: list[EndedTurn] = []
    Player(drawn[0], spans, later.append).play()
    if random.random() < 0.5:
        latency_summary(later)
    order = list(range(len(later)))
    random.shuffle(order)
    for place in order:
        assert _said(later[place]) == at_once[place]
    assert [latency_summary(later[: count + 1]) for count in range(len(later))] == summaries


def test_what_is_played_into_the_recorders_turns_is_what_was_written_down() -> None:
    call = Call()
    q1 = call.user(0.3, 0.7, committed=1.0)
    a1 = call.agent(4.0, answers=q1, tools=[Tool("look", 1.2, 3.5)])
    filler = call.say(1.8, created=1.5, cause=a1)
    ended: list[EndedTurn] = []
    Player(call, SpanTree(MemorySink()), ended.append).play()
    told = [(one.question, one.latency and one.latency.perceived_us) for one in ended]
    assert told == [(q1, 1_100_000), (q1, None)]
    assert ended[1].measured["first_sound_by"] == filler


class Shop(TracedAgent):
    @traced_tool
    async def look(self) -> str:
        """Look."""
        self.session.say("One moment.")
        await asyncio.sleep(1.5)
        return "found"


async def _call(trace: Trace, *, read_while_it_lasts: bool) -> tuple[Any, list[Any]]:
    line = Line(
        hears=ScriptedSTT("what time is it", "where is it"),
        thinks=ScriptedLLM("Noon.", [Use("look")], "Here."),
    )
    async with line.to(Shop(instructions="x")):
        await line.says()
        await line.answers(1)
        await asyncio.sleep(0.1)
        if read_while_it_lasts:
            assert trace.spans("assistant_turn")[0].result["latency"]
        await line.says()
        await line.answers(3)
        await asyncio.sleep(0.1)
    (session,) = trace.spans("session")
    turns = trace.spans("assistant_turn")
    return session.result["latency"], [turn.result.get("latency") for turn in turns]


async def test_a_trace_that_is_first_read_after_the_session_has_its_latency() -> None:
    with collecting() as trace:
        session, turns = await _call(trace, read_while_it_lasts=False)
    assert session["turns"] == 2
    worst = max(turn["perceived_ms"] for turn in turns if turn is not None)
    assert session["worst_ms"] == worst


async def test_a_trace_says_the_same_whether_or_not_it_was_read_before() -> None:
    with collecting() as trace:
        before, turns_before = await _call(trace, read_while_it_lasts=True)
    with collecting() as trace:
        after, turns_after = await _call(trace, read_while_it_lasts=False)
    assert before["turns"] == after["turns"]
    assert [turn is None for turn in turns_before] == [turn is None for turn in turns_after]
    # Two calls are alike to a few milliseconds; each is one with its own turns to the last digit.
    for session, turns in ((before, turns_before), (after, turns_after)):
        heard = sorted(turn["perceived_ms"] for turn in turns if turn is not None)
        assert (session["worst_ms"], session["turns"]) == (heard[-1], len(heard))
