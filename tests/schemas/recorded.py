"""Spans of real sessions, as Prefactor is sent them: the cases of the differential tests, and what
these have not."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from livekit.agents import AgentSession, APIConnectionError
from pydantic_core import from_json

from differential import (
    test_handoffs,
    test_llm_nodes,
    test_other_nodes,
    test_speeches,
    test_tools,
)
from differential.stage import TRACED, Case, played
from prefactor_agent import TracedAgent, config, tool_options, traced_tool
from prefactor_agent.config import Settings
from prefactor_agent.core import guard
from prefactor_agent.core.span import Span
from prefactor_agent.deliver.prefactor import bodies
from prefactor_agent.journal.rows import span_row
from prefactor_agent.journal.todo import SpanState, Todo
from prefactor_agent.redact import Redactor
from prefactor_agent.schemas.catalog import agent_schema_version
from prefactor_agent.schemas.entry import ToolSchema
from prefactor_agent.tracing import tracer
from support import virtual_time
from support.line import HandSTT, Line, until
from support.memory_sink import MemorySink
from support.scripted import (
    Microphone,
    ScriptedLLM,
    ScriptedSTT,
    Speaker,
    Tokens,
    Use,
    Wait,
    silence,
    sound,
)
from support.scripted_realtime import ScriptedRealtime

JSON = dict[str, Any]


class Sent(NamedTuple):
    """A span as Prefactor holds it once all of it has arrived."""

    case: str
    type: str
    status: str
    payload: JSON
    result: JSON | None

    @property
    def outcome(self) -> str:
        """What a reader would call it, in one word."""
        result = self.result or {}
        if result.get("status") == "failed":
            return "failed"
        words = next(
            (result[key] for key in ("transcript", "spoken_text", "text") if key in result), None
        )
        if self.status == "complete" and result.get("interrupted"):
            return "interrupted"
        if self.status == "complete" and words == "":
            return "tool call only" if result.get("tool_calls") else "empty"
        return self.status


class Shop(TracedAgent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer the phone of a shop.")

    @traced_tool
    async def look_up_order(self, order_id: int, detailed: bool = False) -> str:
        """Where an order is."""
        await asyncio.sleep(0.2)
        return f"Order {order_id} has shipped.\n\n    It arrives on Friday, before noon." * 3

    @traced_tool
    async def charge_card(self, card: str, amount: float) -> str:
        """Take money."""
        raise ConnectionError("the bank does not answer")

    @traced_tool
    async def basket(self) -> JSON:
        """What is in it."""
        return {"items": [1, 2], "total": 7.5}


async def a_shop() -> None:
    model = ScriptedLLM(
        [Wait(0.1), Use("look_up_order", {"order_id": 42}), Tokens(40, 5)],
        [Wait(0.1), "It has\n\nshipped.  ", "It will be there on Friday. " * 8, Tokens(60, 10)],
        [Use("charge_card", {"card": "4111 1111 1111 1111", "amount": 12.5}), Use("basket")],
        "The bank does not answer.",
        "",
    )
    line = Line(hears=ScriptedSTT("where is my order", "pay it", "hm"), thinks=model)
    async with line.to(Shop()):
        for answers in (1, 2):
            await line.says()
            await line.answers(answers)
        await line.says()
        await asyncio.sleep(0.5)


async def a_deaf_one() -> None:
    ears = HandSTT()
    line = Line(hears=ears, thinks=ScriptedLLM("yes?"))
    async with line.to(Shop()):
        line.microphone.play([*silence(0.2), *sound(0.3)])
        await line.microphone.heard()
        ears.interim("hel")
        await asyncio.sleep(0.1)
        ears.fails(APIConnectionError("the line is dead", retryable=False))
        await asyncio.sleep(0.5)


async def a_realtime_model() -> None:
    model = ScriptedRealtime(
        [Use("look_up_order", {"order_id": 7})],
        "It has shipped.",
        "And this is a very long story that the caller does not hear to its end. " * 3,
        heard=["where is it", "go on"],
    )
    session: AgentSession[None] = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
    microphone, speaker = Microphone(), Speaker()
    session.input.audio, session.output.audio = microphone, speaker
    await session.start(Shop())
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.5)])
    await microphone.heard()
    await until(lambda: len(speaker.finished) >= 1)
    microphone.play([*silence(0.3), *sound(0.4), *silence(0.5)])
    await microphone.heard()
    await asyncio.sleep(0.5)
    await session.interrupt(force=True)
    await session.aclose()


async def one_with_states() -> None:
    config.configure(states=True)
    line = Line(hears=ScriptedSTT("hello"), thinks=ScriptedLLM("Good day."))
    async with line.to(Shop()):
        await line.says()
        await line.answers()
    config.configure(states=False)


async def a_terminated_one() -> None:
    line = Line(thinks=ScriptedLLM("Good day."))
    async with line.to(Shop()):
        await line.session.generate_reply(user_input="hello")
        session_id = tracer._traces[line.session].spans.root.id
        tracer._terminate(session_id, "it talked of prices")
        await asyncio.sleep(0.5)


def cases() -> Iterator[tuple[str, Any]]:
    """All cases by name; those of the differential tests are played by their traced side."""
    for module in (test_speeches, test_tools, test_llm_nodes, test_other_nodes, test_handoffs):
        for case in _cases_of(module):
            yield case.__name__, lambda case=case: played(case, TRACED)
    for more in (a_shop, a_deaf_one, a_realtime_model, one_with_states, a_terminated_one):
        yield more.__name__, lambda more=more: virtual_time.run(more())


def _cases_of(module: ModuleType) -> Iterator[Case]:
    for value in vars(module).values():
        if inspect.iscoroutinefunction(value) and value.__module__ == module.__name__:
            parameters = list(inspect.signature(value).parameters.values())
            if [one.annotation for one in parameters] == ["Stage"]:
                yield value


class Recorded(NamedTuple):
    """One case as it was recorded."""

    case: str
    spans: tuple[Span, ...]
    tools: JSON
    """What the program said of its tools."""


@cache
def recorded() -> tuple[Recorded, ...]:
    """All cases."""
    found = []
    for name, play in cases():
        sink = MemorySink()
        # A tool of a later LiveKit cannot be made on an older one.
        with tracer.sending_to(sink), contextlib.suppress(TypeError, AttributeError):
            play()
        guard.failures.clear()
        found.append(Recorded(name, tuple(sink.spans), tool_options.declared_tools()))
    return tuple(found)


@cache
def templates() -> dict[tuple[str, str], str]:
    """The templates that each case is registered with, by case and type."""
    found = {}
    for case, spans, tools in recorded():
        declared = {name: ToolSchema(**options) for name, options in tools.items()}
        version = agent_schema_version({span.type for span in spans}, declared)
        for entry in version["span_type_schemas"]:
            found[case, entry["name"]] = entry["template"]
    return found


@cache
def sent(*, capture_content: bool = True, begun: bool = False) -> tuple[Sent, ...]:
    """All spans of all cases, through the real redaction and the real delivery.

    Args:
        begun: As those of a running call are sent, without their end.
    """
    settings = Settings(journal=Path(), capture_content=capture_content)
    redactor = Redactor(settings, tool_options.hidden_tools)
    return tuple(
        _sent(name, span, redactor, begun=begun) for name, spans, _ in recorded() for span in spans
    )


def _sent(case: str, span: Span, redactor: Redactor, *, begun: bool) -> Sent:
    row = span_row(span, redactor)
    if begun:
        row = row._replace(status="active", finished_us=None, result=None)
    todo = Todo(
        0, SpanState.NEW, None, row.id, row.parent_id, row.type, row.status,
        row.started_us, row.finished_us, row.payload, row.result, None,
    )  # fmt: skip
    body = from_json(bodies.create(todo, "i", row.type, None, None).fields)
    return Sent(case, row.type, body["status"], body["payload"], body.get("result_payload"))
