"""What several span types hold: described, and which of it is no content."""

from __future__ import annotations

from ..core.json import JSON
from .content import each, fields, measures, shape


def keys(**described: str) -> JSON:
    """An object that holds these keys, among others, each of any type."""
    return {
        "type": "object",
        "properties": {name: {"description": text} for name, text in described.items()},
    }


SPAN = {"name": "of the span", "type": "of the span", "metadata": "for keys of Prefactor's"}
TURN = {
    **SPAN,
    "turn_index": "number in the call",
    "created_at": "when it was created",
    "started_at": "when it began",
}
OTEL = {"otel": "ids of LiveKit's own OpenTelemetry span"}
MODEL_CALL = {
    **SPAN,
    **OTEL,
    "turn_index": "of the turn",
    "request_id": "the provider's",
    "timestamp": "when it began",
}
ENDED = {"status": "how it ended", "error": "type, message and stack of what failed"}
LATENCY = "the stages between the user's last sound and the agent's first"
STREAMS = "what passed through, chunk by chunk: offsets, sizes, texts or loudness"
TOKENS = {"token_usage": "tokens in and out"}
MODEL = {"model_name": "the model", "provider": "who runs it", "label": "LiveKit's name of it"}

KEPT_TURN = "name type turn_index created_at started_at"
KEPT_CALL = "name type turn_index request_id timestamp model_name provider label"
KEPT_METRICS = measures(
    "type label model_name provider model_provider request_id provider_request_ids segment_id"
    " speech_id"
)
KEPT_LINK = fields("trace_id span_id")
"""The ids of a span of LiveKit's own."""
KEPT_END = {
    "metadata": shape(),
    "error": fields("error_type stacktrace"),
    "streams": measures("kind unit"),
}
KEPT_PERSON = shape(attributes=shape(), changes=each(shape(attributes=shape())))
"""A participant is content: of each the keys alone are kept."""
KEPT_PARTS = each(shape())
"""What a message holds: a text, or texts and pictures."""
KEPT_TOOL_CALL = fields("name call_id")
KEPT_TOOL_RESULT = fields(
    "status outcome is_error duration_ms finished_us updates_omitted",
    outputs=shape(),
    updates=each(fields("id at_us silent inline is_error reply_id")),
    **KEPT_END,
)
KEPT_MESSAGE = fields(
    "role type name call_id is_error", content=KEPT_PARTS, tool_call=KEPT_TOOL_CALL
)
"""A message of a conversation, or a tool call in it: also where one of a hidden tool turns up."""
KEPT_COLUMNS = frozenset(["offset_us", "size", "n", "dbfs"])
"""Of the chunks of a stream."""
KEPT_EVENT = frozenset(["type", "confidence"])
"""Of what an STT reported, which is a chunk of its stream."""
KEPT_TRACK = fields(
    "sid direction kind source name began_us ended_us failed_us subscribed_us muted pre_connect"
    " pre_connect_ms",
    changes=each(fields("at_us muted")),
)
"""A track of the room: who publishes it is content."""
KEPT_SIP = fields(
    "call_id call_id_full trunk_id rule_id hostname call_status",
    statuses=each(fields("at_us status")),
)
"""A telephone call: its numbers are content."""
