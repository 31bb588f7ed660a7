"""The span of OpenTelemetry that LiveKit, or the program, has open at this moment.

LiveKit makes spans of its own where a tracer provider is set for them, and has them current around
the nodes, hooks and tools that it calls (voice/generation.py, voice/agent_activity.py). Their ids
are noted, so that one can be found from the other; ours are never made current, and nothing changes
in theirs.

Everything here is public in OpenTelemetry's API, which LiveKit brings."""

from __future__ import annotations

from opentelemetry import trace

from ...core.json import JSON


def current_span() -> JSON | None:
    """The span that is current in this context. Cheap where there is none.

    Returns:
        ``trace_id`` and ``span_id`` in hexadecimal digits; ``None``: there is no span, as no
        provider is set, or it is not sampled, so that nobody will find it.
    """
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
