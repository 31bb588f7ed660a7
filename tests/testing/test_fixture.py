"""The fixture as an engineer uses it: on a real session, typed and spoken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession, APIConnectionError, ToolError

import prefactor_agent
from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.testing import Trace, collecting
from prefactor_agent.tracing import tracer
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.waiting import PATIENCE

pytest_plugins = ["pytester", "prefactor_agent.testing.plugin"]


class Shop(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer the phone of a shop.")

    @traced_tool
    async def lookup(self, order_id: str) -> dict[str, Any]:
        """Find an order."""
        if order_id == "0":
            raise ToolError("there is no order 0")
        return {"order": order_id, "state": "shipped"}


@asynccontextmanager
async def typed(*replies: Any) -> AsyncIterator[AgentSession[None]]:
    async with AgentSession[None](llm=ScriptedLLM(*replies), vad=None) as session:
        await session.start(Shop())
        yield session


ASKS = ([Use("lookup", {"order_id": "42"})], "It has shipped.")


async def test_a_typed_turn_can_be_asserted_on(prefactor_trace: Trace) -> None:
    async with typed(*ASKS) as session:
        result = await session.run(user_input="Where is order 42?")
        result.expect.next_event().is_function_call(name="lookup", arguments={"order_id": "42"})
        result.expect.contains_message(role="assistant")

        turn = prefactor_trace.turns[0]
        assert turn.user.text == "Where is order 42?"
        assert turn.user.modality == "text"
        assert turn.assistant.text == "It has shipped."
        assert not turn.assistant.interrupted
        assert turn.tools["lookup"].input == {"order_id": "42"}
        assert turn.tools["lookup"].result == {"order": "42", "state": "shipped"}
        assert turn.tools["lookup"].outcome == "returned"
        assert turn.latency is not None
        assert sum(turn.latency.stages.values()) == pytest.approx(turn.latency.perceived_ms)
        assert turn.latency.slowest in turn.latency.stages
        assert not prefactor_trace.errors
        assert prefactor_trace.calls[0].close_reason is None
    assert prefactor_trace.calls[0].close_reason == "user_initiated"
    assert prefactor_trace.calls[0].agent == "Shop"
    assert len(prefactor_trace.spans("llm")) == len(prefactor_trace.spans("livekit:llm")) == 2
    assert [span.name for span in prefactor_trace.spans(type="tool")] == ["lookup"]
    assert prefactor_trace.spans("tool:lookup") == prefactor_trace.spans("livekit:tool")
    assert len(prefactor_trace.spans("tool_result")) == 1


async def test_a_spoken_turn_can_be_asserted_on(prefactor_trace: Trace) -> None:
    line = Line(hears=ScriptedSTT("Hello?"), thinks=ScriptedLLM("Hi there."))
    async with line.to(Shop()):
        await line.says()
        await line.answers()
    turn = prefactor_trace.turns[0]
    assert (turn.user.text, turn.user.modality) == ("Hello?", "audio")
    assert turn.assistant.text == "Hi there."
    assert turn.assistant.playback_s == pytest.approx(0.14, abs=0.05)
    assert turn.latency is not None
    assert sum(turn.latency.stages.values()) == pytest.approx(turn.latency.perceived_ms, abs=0.01)
    assert prefactor_trace.calls[0].pickup is None  # who called spoke first, and in no room
    (heard,) = prefactor_trace.spans("stt")
    assert len(heard.stream("audio")["dbfs"]) > 10


async def test_a_greeting_can_be_asserted_on(prefactor_trace: Trace) -> None:
    class Greeter(Shop):
        async def on_enter(self) -> None:
            self.session.generate_reply(instructions="Greet.")

    line = Line(thinks=ScriptedLLM("Hello there."))
    async with line.to(Greeter()):
        await line.answers()
    pickup = prefactor_trace.calls[0].pickup
    assert pickup is not None and not pickup.caller_first
    assert sum(pickup.stages.values()) == pytest.approx(pickup.ms)
    assert {"tts_ttfb", "leading_silence"} <= pickup.stages.keys()


async def test_errors_of_tools_and_models_can_be_asserted_on(prefactor_trace: Trace) -> None:
    replies = ([Use("lookup", {"order_id": "0"})], "There is none.", [APIConnectionError("gone")])
    line = Line(thinks=ScriptedLLM(*replies))
    line.session.output.audio = None
    await line.session.start(Shop())
    await line.session.run(user_input="Order 0?")
    call = prefactor_trace.turns[0].tools["lookup"]
    assert call.error is not None
    assert (call.outcome, call.result) == ("tool_error", None)
    assert (call.error.type, call.error.message) == ("ToolError", "there is no order 0")
    await line.session.generate_reply(user_input="And now?")
    await line.session.aclose()
    (error,) = prefactor_trace.errors
    assert "gone" in error.message
    assert prefactor_trace.turns[1].errors == [error]
    assert not prefactor_trace.turns[1].assistant.text


async def test_a_greeting_has_no_user(prefactor_trace: Trace) -> None:
    async with typed("Welcome.") as session:
        await session.generate_reply(instructions="Greet.")
    (turn,) = prefactor_trace.turns
    assert not turn.user
    assert turn.user.text == ""
    assert turn.assistant
    assert turn.assistant.text == "Welcome."
    assert turn.latency is None


async def test_what_is_not_there_is_named(prefactor_trace: Trace) -> None:
    assert "is the agent a TracedAgent" in str(prefactor_trace)
    twice = [Use("lookup", {"order_id": "1"}), Use("lookup", {"order_id": "2"})]
    async with typed(twice, "Both.", "None.") as session:
        await session.run(user_input="Two orders?")
        await session.run(user_input="No order?")
    tools = prefactor_trace.turns[0].tools
    with pytest.raises(LookupError, match=r"called 2 times.*tools\.all\('lookup'\)"):
        tools["lookup"]
    assert [call.input["order_id"] for call in tools.all("lookup")] == ["1", "2"]
    assert "lookup" in tools
    with pytest.raises(LookupError, match="'refund' was not called in this turn; called: lookup"):
        tools["refund"]
    with pytest.raises(LookupError, match="called: none"):
        prefactor_trace.turns[1].tools["lookup"]
    with pytest.raises(IndexError, match="no turn 5: 2 turns in the trace"):
        prefactor_trace.turns[5]


async def test_the_trace_prints_as_a_tree(prefactor_trace: Trace) -> None:
    async with typed(*ASKS) as session:
        await session.run(user_input="Where is order 42?")
    lines = [line.split("  (")[0] for line in str(prefactor_trace).splitlines()]
    kept = [line for line in lines if not line.endswith("transcription")]  # an empty one, on 1.5
    assert kept == [
        "session: Shop",
        "├ user turn: “Where is order 42?”",
        "└ assistant turn: “It has shipped.”",
        '  ├ llm: calls lookup({"order_id": "42"})',
        "  ├ tool lookup: (order_id='42') → {'order': '42', 'state': 'shipped'}",
        "  ├ llm: “It has shipped.”",
        "  └ transcription: “It has shipped.”",
    ]


async def one_snapshot() -> list[dict[str, Any]]:
    with collecting() as trace:
        async with typed(*ASKS) as session:
            await session.run(user_input="Where is order 42?")
        return trace.snapshot()


async def test_a_snapshot_is_the_same_in_every_run() -> None:
    first = await one_snapshot()
    await asyncio.sleep(0.02)
    assert await one_snapshot() == first
    (session,) = first
    assert (session["id"], session["started_s"]) == ("span-1", 0)
    user, assistant = session["children"]
    assert user["result"]["transcript"] == "Where is order 42?"
    assert assistant["result"]["user_turn_id"] == user["id"] == "span-2"
    (tool,) = [span for span in assistant["children"] if span["name"] == "lookup"]
    assert tool["payload"]["inputs"] == {"order_id": "42"}
    assert tool["result"]["duration_ms"] == "<measured>"


async def test_redaction_holds_as_in_production(prefactor_trace: Trace) -> None:
    prefactor_agent.configure(redact_keys=["order_id"], redact_patterns=["shipped"])
    async with typed(*ASKS) as session:
        await session.run(user_input="Has 42 shipped?")
    assert prefactor_trace.turns[0].tools["lookup"].input == {"order_id": "[redacted]"}
    assert prefactor_trace.turns[0].user.text == "Has 42 [redacted]?"


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    with collecting() as trace:
        async with typed("Hi.") as session:
            await session.run(user_input="Hello?")
        assert trace.turns[0].assistant.text == "Hi."
    assert set(threading.enumerate()) <= threads
    assert not list(tmp_path.iterdir())  # the journal would be here
    async with typed("Hi.") as session:
        await session.run(user_input="Hello?")
    assert len(trace.calls) == 1
    assert tracer.flush(PATIENCE)
    assert (tmp_path / "journal.db").exists()


async def test_clear_forgets(prefactor_trace: Trace) -> None:
    async with typed("One.", "Two.") as session:
        await session.run(user_input="1?")
        prefactor_trace.clear()
        await session.run(user_input="2?")
        assert [turn.user.text for turn in prefactor_trace.turns] == ["2?"]


FAILING = """
    import pytest
    from livekit.agents import AgentSession
    from prefactor_agent import TracedAgent
    from support.scripted import ScriptedLLM

    @pytest.mark.{mark}
    async def test_it(prefactor_trace):
        async with AgentSession(llm=ScriptedLLM("Good morning."), vad=None) as session:
            await session.start(TracedAgent(instructions="Greet."))
            await session.run(user_input="Hello?")
        assert prefactor_trace.turns[0].user.text == "Hello?"
        assert prefactor_trace.turns[0].assistant.text == "{expected}"
"""


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_in_both_runners_and_a_failure_shows_the_tree(pytester: Any, mark: str) -> None:
    pytester.makepyfile(
        test_good=textwrap.dedent(FAILING.format(mark=mark, expected="Good morning.")),
        test_bad=textwrap.dedent(FAILING.format(mark=mark, expected="Good evening.")),
        conftest='import pytest\n@pytest.fixture\ndef anyio_backend(): return "asyncio"\n',
    )
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    done = pytester.runpytest_inprocess("-p", "prefactor_agent.testing.plugin")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "*'Good morning.' == 'Good evening.'*",
            "*- prefactor_trace -*",
            "session: TracedAgent*",
            "*user turn: “Hello?”*",
            "*assistant turn: “Good morning.”*",
        ]
    )


def test_pytest_starts_without_livekit() -> None:
    code = """if True:
        import sys
        import prefactor_agent.testing.plugin
        heavy = ("livekit", "pydantic", "numpy", "prefactor_http")
        print(sorted(name for name in heavy if name in sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
