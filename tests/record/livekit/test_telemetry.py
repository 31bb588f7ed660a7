"""The link to LiveKit's own spans of OpenTelemetry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from livekit.agents import AgentSession, telemetry
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.record.livekit.telemetry import current_span
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, ScriptedTTS, Speaker, Use

LINKED = {
    "livekit:llm": "llm_node",
    "livekit:tts": "tts_node",
    "livekit:tool:hours": "function_tool",
}


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """LiveKit's own spans."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.set_tracer_provider(provider)
    yield exporter
    telemetry.set_tracer_provider(trace.NoOpTracerProvider())  # type: ignore[arg-type]


async def a_call() -> None:
    class Clerk(TracedAgent):
        @traced_tool
        async def hours(self) -> str:
            """When it is open."""
            await asyncio.sleep(0.01)
            return "9 to 6"

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("hours", {})], ["From nine."]), tts=ScriptedTTS()
    )
    session.output.audio = Speaker()
    await session.start(Clerk(instructions="help"))
    await session.generate_reply(user_input="when?")
    await session.aclose()


async def test_a_span_names_the_one_of_livekits_that_it_began_in(
    exported: InMemorySpanExporter, sink: MemorySink
) -> None:
    await a_call()
    theirs = {
        trace.format_span_id(span.context.span_id): span for span in exported.get_finished_spans()
    }
    ours = [span for span in sink.as_dicts() if span["type"] in LINKED]
    assert {span["type"] for span in ours} == LINKED.keys()
    for span in ours:
        link = span["payload"]["otel"]
        other = theirs[link["span_id"]]
        assert other.name == LINKED[span["type"]]
        assert link["trace_id"] == trace.format_trace_id(other.context.trace_id)
    [root] = [span for span in sink.as_dicts() if span["parent_id"] is None]
    assert root["payload"]["otel"]["trace_id"] == ours[0]["payload"]["otel"]["trace_id"]


async def test_ours_never_becomes_the_current_one(
    exported: InMemorySpanExporter, sink: MemorySink
) -> None:
    """Each of LiveKit's spans has the parent that it has without the tracer: one of its own."""
    await a_call()
    theirs = {span.context.span_id for span in exported.get_finished_spans()}
    parents = {span.parent.span_id for span in exported.get_finished_spans() if span.parent}
    assert parents <= theirs


async def test_without_a_provider_nothing_is_named(sink: MemorySink) -> None:
    await a_call()
    assert not [span for span in sink.as_dicts() if "otel" in span["payload"]]


def test_a_span_that_is_not_sampled_is_not_named() -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("t")
    with tracer.start_as_current_span("s"):
        assert trace.get_current_span().get_span_context().is_valid
        assert current_span() is None
    assert current_span() is None
