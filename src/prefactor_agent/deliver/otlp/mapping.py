"""From a span of the journal to a span of OpenTelemetry: a pure function, and the table of what
becomes of each type. ``docs/otlp.md`` shows the same table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from ...core.json import JSON
from ...core.span import SpanType
from ...core.values import mapping, text
from . import spans
from .attributes import key_values
from .ids import span_id, trace_id
from .reading import Reading, read
from .rows import EndedSpan
from .streams import MOST_EVENTS, Event, chunk_events, sums, turn_events

SCOPE = "prefactor_agent"
_MOST_ERRORS = 16


class Mapped(NamedTuple):
    """What a type of span becomes."""

    name: str
    """With the value of an attribute in braces; without a value the word before it stands alone."""
    openinference: str
    attributes: Callable[[Reading], JSON]
    client: bool = False
    """Its kind is CLIENT, else INTERNAL."""


TABLE: Mapping[str, Mapped | None] = {
    SpanType.SESSION: Mapped("call {gen_ai.agent.name}", "AGENT", spans.session),
    SpanType.ASSISTANT_TURN: Mapped(
        "invoke_agent {gen_ai.agent.name}", "AGENT", spans.assistant_turn
    ),
    SpanType.USER_TURN: Mapped("user_turn", "CHAIN", spans.user_turn),
    SpanType.LLM: Mapped("chat {gen_ai.request.model}", "LLM", spans.llm, client=True),
    SpanType.REALTIME: Mapped(
        "generate_content {gen_ai.request.model}", "LLM", spans.realtime, client=True
    ),
    SpanType.TOOL: Mapped("execute_tool {gen_ai.tool.name}", "TOOL", spans.tool),
    SpanType.TOOL_RESULT: None,  # its tool's span says the same, at the same moment
    SpanType.STT: Mapped("speech_to_text", "CHAIN", spans.stt),
    SpanType.TTS: Mapped("text_to_speech", "CHAIN", spans.tts),
    SpanType.TRANSCRIPTION: Mapped("transcription", "CHAIN", spans.transcription),
    SpanType.HANDOFF: Mapped("handoff {prefactor.handoff.to}", "CHAIN", spans.handoff),
    SpanType.ERROR: Mapped("error {error.type}", "CHAIN", spans.error),
    SpanType.RPC: Mapped("rpc {rpc.method}", "CHAIN", spans.rpc),
    SpanType.STATE: Mapped("state {prefactor.state.actor}", "CHAIN", spans.state),
}
_LANGFUSE = {"LLM": "generation", "AGENT": "agent", "TOOL": "tool", "CHAIN": "chain"}


def to_span(row: EndedSpan, *, content: bool = True, usage: bool = True) -> Span | None:
    """A span as it is sent. ``None``: it is a part of another one, and nothing is sent.

    Args:
        content: With what was said, given and returned; otherwise names, times and sizes alone.
        usage: With the tokens of each call of a model.

    Raises:
        ValueError: The row is damaged: this program did not write it so.
    """
    reading = read(row, content=content, usage=usage)
    mapped = TABLE[reading.type]
    if mapped is None:
        return None
    failures = _failures(reading)
    attributes = {
        **_common(reading, mapped),
        **mapped.attributes(reading),
        **sums(mapping(reading.result.get("streams"))),
        "error.type": failures[0].attributes.get("exception.type") if failures else None,
    }
    span = Span(
        trace_id=trace_id(row.session_id),
        span_id=span_id(row.id),
        parent_span_id=span_id(row.parent_id) if row.parent_id else b"",
        name=_name(mapped.name, attributes),
        kind=Span.SPAN_KIND_CLIENT if mapped.client else Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=row.started_us * 1000,
        end_time_unix_nano=row.finished_us * 1000,
        attributes=key_values(attributes),
        status=_status(reading, failures),
    )
    for event in (*_events(reading), *failures):
        span.events.add(
            time_unix_nano=event.at_us * 1000,
            name=event.name,
            attributes=key_values(event.attributes),
        )
    _add_link(span, mapping(reading.payload.get("otel")))
    return span


def request(
    spans_: Iterable[Span], resource: Mapping[str, Any], version: str = ""
) -> ExportTraceServiceRequest:
    """The body of one request.

    Args:
        resource: Attributes of what the spans come from, ``service.name`` among them.
        version: Of this package.
    """
    scope = InstrumentationScope(name=SCOPE, version=version)
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=key_values(resource)),
                scope_spans=[ScopeSpans(scope=scope, spans=spans_)],
            )
        ]
    )


def _common(reading: Reading, mapped: Mapped) -> JSON:
    """What each span has, by which backends group spans and tell their kinds."""
    row = reading.row
    return {
        "session.id": row.session_id,
        "gen_ai.conversation.id": row.session_id,
        "openinference.span.kind": mapped.openinference,
        "langfuse.observation.type": _LANGFUSE[mapped.openinference],
        "prefactor.id": row.id,
        "prefactor.type": row.type,
        "prefactor.status": row.status,
        "prefactor.lost_end": reading.result.get("lost_end"),
    }


def _name(pattern: str, attributes: JSON) -> str:
    word, _, key = pattern.partition(" ")
    value = text(attributes.get(key.strip("{}")))
    return f"{word} {value}" if value else word


def _failures(reading: Reading) -> list[Event]:
    """What failed in a span, as the exception events of OpenTelemetry."""
    errors = reading.errors[:_MOST_ERRORS]
    if reading.type == SpanType.ERROR:
        errors = [reading.payload]
    own = mapping(reading.result.get("error") or reading.payload.get("error"))
    if own and not any(_same(own, error) for error in errors):
        errors = [own, *errors]
    # The span itself has the stack; the errors in it have their source.
    errors = [{**own, **error} if _same(own, error) else error for error in errors]
    return [_exception(error, reading.row) for error in errors]


def _same(one: JSON, other: JSON) -> bool:
    return all(one.get(key) == other.get(key) for key in ("error_type", "message"))


def _exception(error: JSON, row: EndedSpan) -> Event:
    created = error.get("created_at")
    at_us = round(created * 1e6) if isinstance(created, float) else row.finished_us
    attributes = {
        "exception.type": error.get("error_type"),
        "exception.message": error.get("message"),
        "exception.stacktrace": error.get("stacktrace"),
        "prefactor.error.source": error.get("source"),
        "prefactor.error.recoverable": error.get("recoverable"),
    }
    return Event(at_us, "exception", attributes)


def _status(reading: Reading, failures: list[Event]) -> Status:
    """ERROR for what failed, and where something failed for good; a cancelled span is neither."""
    fatal = [one for one in failures if one.attributes["prefactor.error.recoverable"] is not True]
    if reading.row.status == "failed" or fatal:
        messages = [text(one.attributes.get("exception.message")) for one in (*fatal, *failures)]
        message = next(iter(messages), "")
        return Status(code=Status.STATUS_CODE_ERROR, message=message)
    if reading.row.status == "complete":
        return Status(code=Status.STATUS_CODE_OK)
    return Status()


def _events(reading: Reading) -> list[Event]:
    row = reading.row
    moments = turn_events(row.around.session_started_us, reading.result)
    room = MOST_EVENTS - len(moments)
    return sorted([*moments, *chunk_events(row.started_us, row.streams, room)], key=_at)


def _at(event: Event) -> int:
    return event.at_us


def _add_link(span: Span, theirs: JSON) -> None:
    """A link to LiveKit's own span of the same work, where there was one."""
    try:
        trace, id_ = (bytes.fromhex(text(theirs.get(key))) for key in ("trace_id", "span_id"))
    except ValueError:
        return
    if (len(trace), len(id_)) == (16, 8):
        span.links.add(
            trace_id=trace,
            span_id=id_,
            attributes=key_values({"prefactor.link": "livekit"}),
        )
