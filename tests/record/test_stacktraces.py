"""A failure says where it was, on the span of the work that failed and on its error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, APIConnectionError

from prefactor_agent import TracedAgent, tool_options, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.journal.rows import span_row
from prefactor_agent.redact import Redactor
from support.line import NO_RETRIES
from support.scripted import ScriptedLLM, Use
from support.tree import Recorder


class Clerk(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Sell.")

    @traced_tool
    async def charge(self, card: str) -> str:
        """Take money."""
        return self.bank(card)

    def bank(self, card: str) -> str:
        raise ConnectionError("the bank does not answer")


async def one_call(sink: Recorder, *answers: Any) -> None:
    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM(*answers), conn_options=NO_RETRIES, max_tool_steps=1
    )
    await session.start(Clerk())
    await session.generate_reply(user_input="I pay")
    await session.aclose()


def stack(sink: Recorder, type_: str) -> list[str] | None:
    """The lines of the stack of the only failed span of a type; ``None``: it has no stack."""
    [span] = [one for one in sink.of(type_) if one.status == "failed"]
    text = sink.plain(span)["result"]["error"].get("stacktrace")
    return None if text is None else text.splitlines()


async def test_a_tool_that_fails_says_in_which_line(sink: Recorder) -> None:
    await one_call(sink, [Use("charge", {"card": "4111"})], "No.")
    first = Clerk.bank.__code__.co_firstlineno
    lines = stack(sink, "livekit:tool:charge")
    assert lines is not None
    assert [line.rpartition(" in ")[2] for line in lines] == ["Clerk.charge", "Clerk.bank"]
    assert lines[-1] == f"record/test_stacktraces.py:{first + 1} in Clerk.bank"
    assert stack(sink, "livekit:tool_result") is None


async def test_a_model_that_fails_says_so_with_its_error(sink: Recorder) -> None:
    await one_call(sink, [APIConnectionError("gone", retryable=False)])
    lines = stack(sink, "livekit:llm")
    assert lines is not None
    assert lines[0].startswith("livekit/agents/")
    assert lines[-1].startswith("support/scripted.py:")
    assert (stack(sink, "livekit:error") or [""])[-1] == lines[-1]
    assert stack(sink, "livekit:assistant_turn") is None


async def test_a_stack_is_no_content_and_can_be_taken_out(sink: Recorder) -> None:
    await one_call(sink, [Use("charge", {"card": "4111"})], "No.")
    [tool] = sink.of("livekit:tool:charge")

    def kept(**changes: Any) -> str:
        redactor = Redactor(Settings(journal=Path(), **changes), tool_options.hidden_tools)
        return span_row(tool, redactor).result or ""

    without = kept(capture_content=False)
    assert "in Clerk.bank" in without
    assert "does not answer" not in without
    assert "Clerk.bank" not in kept(redact_keys={"stacktrace"})
    assert "Clerk.bank" not in kept(redact_patterns=["Clerk"])
