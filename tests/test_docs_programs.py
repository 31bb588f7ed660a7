"""The programs in the documents run, in real sessions."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession
from samples.gallery.ends import reply

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.testing import Trace, collecting
from support.documents import ROOT, Block, blocks
from support.line import Line
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, ScriptedSTT, Use

PROGRAMS = [block for block in blocks() if block.language == "python" and not block.not_run]
AGENTS = [block for block in PROGRAMS if "run_app" in block.text]
TESTS = [block for block in PROGRAMS if "def test_" in block.text]
SETTINGS = [block for block in PROGRAMS if block not in AGENTS and block not in TESTS]


def defined(block: Block, **given: Any) -> dict[str, Any]:
    """What a program defines, once it was run. Where it imports nothing, it has the package's
    names."""
    names: dict[str, Any] = {"__name__": "agent", **given}
    if "import " not in block.text:
        names |= {name: getattr(prefactor_agent, name) for name in prefactor_agent.__all__}
        names["prefactor_agent"] = prefactor_agent
    exec(compile(block.text, block.document, "exec"), names)
    return names


def about(word: str, document: str) -> Block:
    """The one program of a document that has this word."""
    [block] = (one for one in PROGRAMS if one.document == document and word in one.text)
    return block


def test_there_is_a_program_of_each_kind() -> None:
    assert (len(AGENTS), len(TESTS)) == (1, 2)
    assert len(SETTINGS) >= 9


@pytest.mark.parametrize("block", AGENTS, ids=lambda block: block.name)
async def test_an_agent_is_traced(block: Block, sink: MemorySink) -> None:
    names = defined(block)
    model = ScriptedLLM([Use("look_up_order", {"order_id": "42"})], "It arrives on Friday.")
    async with AgentSession(llm=model) as session:
        await session.start(names["Assistant"]())
        await session.run(user_input="Where is order 42?")
    outputs = sink.one("livekit:tool:look_up_order")["result"]["outputs"]
    assert outputs == {"output": "Order 42 arrives on Friday."}


@pytest.mark.parametrize("block", SETTINGS, ids=lambda block: block.name)
async def test_what_it_says_can_be_said_while_a_call_runs(
    block: Block, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At module level of an agent's file, or, where it says ``self``, in a tool."""
    monkeypatch.setenv("SHOP_TOKEN", "a token of the test's")
    ran: list[dict[str, Any]] = []

    class Shop(TracedAgent):
        @traced_tool
        async def try_it(self) -> str:
            """Try it."""
            ran.append(defined(block, self=self))
            return "done"

    async with AgentSession(llm=ScriptedLLM([Use("try_it")], "Tried.")) as session:
        await session.start(Shop(instructions="x"))
        await session.run(user_input="try it")
    assert sink.one("livekit:tool:try_it")["result"]["outcome"] == "returned"
    [names] = ran
    tools = [tool for tool in names.values() if hasattr(tool, "info")]
    for tool in tools:
        told = inspect.signature(tool)
        assert await tool(**dict.fromkeys(told.parameters, "1"))


@pytest.mark.parametrize("block", TESTS, ids=lambda block: block.name)
async def test_a_test_passes(
    block: Block, prefactor_trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedLLM(
        "Good day.", [Use("look_up_order", {"order_id": "42"})], "It arrives on Friday."
    )
    monkeypatch.setattr("livekit.plugins.openai.LLM", lambda: model)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "samples" / "tests" / "call.json", tmp_path / "tests" / "call.json")
    monkeypatch.chdir(tmp_path)
    names = defined(block)
    [test] = (value for name, value in names.items() if name.startswith("test_"))
    await test(prefactor_trace)
    assert prefactor_trace.turns


async def test_the_words_of_the_privacy_page_are_in_no_trace(sink: MemorySink) -> None:
    defined(about("without_names", "privacy.md"))
    tools = defined(about("async def pay", "privacy.md"))
    model = ScriptedLLM(
        [Use("pay", {"card": "4111 1111 1111 1111", "amount": 73519.25})], "Thank you, Anna."
    )
    with collecting() as trace:
        async with AgentSession(llm=model) as session:
            await session.start(TracedAgent(instructions="x", tools=[tools["pay"]]))
            await session.run(user_input="I am Anna, my card is 4111 1111 1111 1111.")
    [turn] = trace.turns
    assert turn.user.text.startswith("I am [name], my card is ")
    assert turn.latency is not None and turn.latency.perceived_ms >= 0
    assert turn.tools["pay"].outcome == "returned"
    kept = repr(trace.snapshot())
    assert "Anna" not in kept and "4111 1111" not in kept and "73519.25" not in kept


class SlowShop(TracedAgent):
    @traced_tool
    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(3)
        return "found"


@pytest.mark.parametrize(
    ("replies", "heard"),
    [
        ([[Use("look")], "Here it is."], ["One moment, please.", "Here it is."]),
        ([reply("Here it is.", first=3.0)], ["Here it is.", "One moment, please."]),
    ],
    ids=["a tool is slow", "the model is slow"],
)
async def test_the_budget_of_the_latency_page_speaks_when_the_page_says(
    replies: list[Any], heard: list[str]
) -> None:
    defined(about("def slow(", "latency.md"))
    line = Line(hears=ScriptedSTT("where is it"), thinks=ScriptedLLM(*replies))
    with collecting() as trace:
        async with line.to(SlowShop(instructions="x")):
            await line.says()
            await line.answers(2)
            await asyncio.sleep(0.1)
    turns = [span for span in trace.spans("assistant_turn") if span.result["spoken_text"]]
    turns.sort(key=lambda span: span.result["moments_us"]["playback_started"])
    assert [span.result["spoken_text"].strip() for span in turns] == heard


async def test_the_call_of_the_prefactor_page_says_goodbye() -> None:
    goodbye = defined(about("def goodbye", "prefactor.md"))["goodbye"]
    line = Line(thinks=ScriptedLLM())
    with collecting() as trace:
        async with line.to(TracedAgent(instructions="x")):
            await goodbye(line.session, "it went wrong")
    assert "I have to end this call." in trace.turns[0].assistant.text
    assert len(line.speaker.finished) == 1
