"""A part of a call that the program keeps off the record."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, RunContext

from prefactor_agent import (
    PrefactorLiveKitSession,
    TracedAgent,
    TracedAgentTask,
    configure,
    flush,
    off_the_record,
    traced_tool,
)
from prefactor_agent.core import guard
from prefactor_agent.journal.reader import Journal
from prefactor_agent.record.turns.off_the_record import OffTheRecord
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.call_moments import call_moments
from prefactor_agent.view.model.calltree import build
from support import recordings
from support.line import Line
from support.scripted import Heard, ScriptedLLM, ScriptedSTT, ScriptedTTS, Use, Wait
from support.scripted_realtime import ScriptedRealtime
from support.seams import broken

CARD = "quagga okapi tapir zebu"  # words, as digits could be an identifier's or a time's


class AskCard(TracedAgentTask[str]):
    def __init__(self) -> None:
        super().__init__(instructions="Ask for the card.")

    async def on_enter(self) -> None:
        await self.session.say("Your card number?")

    @traced_tool
    async def note(self, number: str) -> None:
        """Note the number."""
        self.complete(number)


class Shop(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Sell.")

    @traced_tool
    async def take_card(self, context: RunContext[None]) -> str:
        """Take the money."""
        async with off_the_record(self.session):
            number = await AskCard()
        await asyncio.sleep(0.2)
        return f"paid with {number}"


@pytest.fixture
async def held(tmp_path: Path) -> tuple[list[StoredSpan], Any]:
    tracer.send_to(None)
    configure(keep_audio=True)
    line = Line(
        hears=ScriptedSTT("I want to pay", CARD, "and a bag"),
        thinks=ScriptedLLM(
            [Use("take_card")],
            [Use("note", {"number": CARD})],
            [Wait(0.1), "Paid."],
            "A bag, then.",
        ),
        speaks=ScriptedTTS(first_byte=0.05, leading_silence=0.05, rate=48_000),
    )
    async with line.to(Shop()):
        await line.says()
        await line.answers(1)
        await line.says()
        await line.answers(2)
        await line.says(0.6)
        await line.answers(3)
    assert await asyncio.to_thread(flush, 10)
    source = Journal(tmp_path / "journal.db")
    call = source.find()
    spans, recorded = source.call(call), source.recording(call)
    source.close()
    return spans, recorded


def words(spans: list[StoredSpan]) -> str:
    return json.dumps([[span.payload, span.result] for span in spans])


async def test_no_word_of_it_is_kept(held: tuple[list[StoredSpan], Any]) -> None:
    spans, _ = held
    kept = words(spans)
    for hidden in (*CARD.split(), "Your card number?"):
        assert hidden not in kept
    assert "I want to pay" in kept and "and a bag" in kept and "A bag, then." in kept
    assert not guard.failures


async def test_what_was_off_the_record_says_so(held: tuple[list[StoredSpan], Any]) -> None:
    spans, _ = held
    hidden = {span.name for span in spans if span.payload.get("off_the_record")}
    assert {"note", "take_card", "user_turn", "assistant_turn", "stt", "tts"} <= hidden
    (took_card,) = [span for span in spans if span.type == "livekit:tool:take_card"]
    assert took_card.status == "complete" and took_card.result["status"] == "completed"
    last = [span for span in spans if span.type == "livekit:llm"][-1]
    assert "off_the_record" not in last.payload
    messages = last.payload["inputs"]["messages"]
    assert sum("[off the record]" in json.dumps(message) for message in messages) >= 3
    assert messages[-1]["content"] == "and a bag"


async def test_it_is_silent_in_the_recording_and_shown(
    held: tuple[list[StoredSpan], Any],
) -> None:
    spans, recorded = held
    (gap,) = spans[0].result["moments"]
    assert gap["kind"] == "off_the_record"
    since, until = gap["at_us"] / 1e6, gap["until_us"] / 1e6
    caller, agent = recordings.heard(recorded, spans[0])
    assert len(caller) == 2 and len(agent) == 2, "what was said before and after"
    for begins, ends in (*caller, *agent):
        assert ends <= since + 0.02 or begins >= until - 0.02
    (shown,) = call_moments(build(spans))
    assert shown.words.startswith("off the record: no sound and no words are kept, for ")
    assert (shown.ended_us - shown.started_us) / 1e6 == pytest.approx(until - since)


async def test_a_part_in_a_part_ends_with_the_first(tmp_path: Path) -> None:
    tracer.send_to(None)
    line = Line(hears=ScriptedSTT("one", "two"), thinks=ScriptedLLM("A.", "B."))
    async with line.to(Shop()):
        with off_the_record(line.session):
            with off_the_record(line.session):
                pass
            await line.says()
            await line.answers(1)
        await line.says()
        await line.answers(2)
    assert await asyncio.to_thread(flush, 10)
    source = Journal(tmp_path / "journal.db")
    spans = source.call(source.find())
    source.close()
    said = [span.result["transcript"] for span in spans if span.type == "livekit:user_turn"]
    assert said == ["<3 characters>", "two"]


async def test_of_a_session_that_is_not_traced_nothing_happens() -> None:
    line = Line(hears=ScriptedSTT(), thinks=ScriptedLLM())
    async with off_the_record(line.session):
        pass


@pytest.mark.parametrize("guarded", [OffTheRecord.begin, OffTheRecord.end])
async def test_what_fails_does_not_reach_the_agent(guarded: Any) -> None:
    line = Line(hears=ScriptedSTT("one"), thinks=ScriptedLLM("A."))
    async with line.to(Shop()):
        with broken(guarded), off_the_record(line.session):
            pass
        await line.says()
        await line.answers(1)
    assert guard.failures


SAID = ("before it", CARD, "after it")


def nodes() -> Line:
    """Words come bit by bit, also while the part goes on."""
    heard = [Heard(words, interims=[words[:9], words]) for words in SAID]
    return Line(hears=ScriptedSTT(*heard), thinks=ScriptedLLM("A.", CARD, "C."))


def realtime() -> Line:
    return Line(thinks=ScriptedRealtime("A.", CARD, "C.", heard=list(SAID)))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("make", [nodes, realtime])
async def test_it_is_so_on_every_path(tmp_path: Path, make: Any, *, plain: bool) -> None:
    tracer.send_to(None)
    line = make()
    agent = Agent(instructions="x") if plain else TracedAgent(instructions="x")
    if plain:
        await PrefactorLiveKitSession().start(line.session, agent)
    else:
        await line.session.start(agent)
    await asyncio.sleep(0.05)
    for count in (1, 2, 3):
        with off_the_record(line.session) if count == 2 else nullcontext():
            await line.says()
            await line.answers(count)
            await asyncio.sleep(0.2)
    await line.session.aclose()
    assert await asyncio.to_thread(flush, 10)
    source = Journal(tmp_path / "journal.db")
    spans = source.call(source.find())
    source.close()
    kept = words(spans)
    assert [word for word in CARD.split() if word in kept] == []
    assert "before it" in kept and "after it" in kept and "A." in kept and "C." in kept
    assert not guard.failures
