"""The span types as Prefactor registers them: title, description, one-line summary, data risk.

The schemas name what a payload holds and leave it open: redaction may replace any value, and a span
that Prefactor refuses for its shape would be lost to whoever looks for it there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from prefactor_core import SchemaRegistry  # type: ignore[import-untyped]
from pydantic_core import to_json

JSON = dict[str, Any]

TOOL_PREFIX = "livekit:tool:"
QUALITY = "livekit:call"

_UNKNOWN_RISK: JSON = {
    "action_profile": {},
    "params_data_categories": {},
    "result_data_categories": {},
}
_PERSON = {"personal_identifiers": "included", "contact_information": "unknown"}
_SPEECH_RISK: JSON = {
    "action_profile": {"external_communication": "allowed"},
    "params_data_categories": _PERSON,
    "result_data_categories": _PERSON,
}
_TIMES_RISK: JSON = {
    "action_profile": {},
    "params_data_categories": {"personal_identifiers": "excluded"},
    "result_data_categories": {"personal_identifiers": "excluded"},
}


class ToolSchema(NamedTuple):
    """What a user says of one tool, in place of what is assumed."""

    input_schema: JSON | None = None
    result_schema: JSON | None = None
    data_risk: JSON | None = None
    template: str | None = None
    description: str | None = None


class _Type(NamedTuple):
    name: str
    title: str
    description: str
    template: str
    params: JSON
    result: JSON
    risk: JSON


def _keys(**described: str) -> JSON:
    """An object that holds these keys, among others, each of any type."""
    return {
        "type": "object",
        "properties": {name: {"description": text} for name, text in described.items()},
    }


_LATENCY = "the stages between the user's last sound and the agent's first"
_STREAMS = "what passed through, chunk by chunk: offsets, sizes, texts or loudness"
_TOKENS = {"token_usage": "tokens in and out"}
_MODEL = {"model_name": "the model", "provider": "who runs it", "label": "LiveKit's name of it"}

_TYPES = (
    _Type(
        "livekit:session",
        "Voice session",
        "One call: from the start of the AgentSession to its end.",
        "{{ agent_class }} {{ room.name }} {{ close_reason }}",
        _keys(
            agent_class="class of the agent that began",
            models="STT, LLM, TTS and VAD",
            room="LiveKit's room",
            job="LiveKit's job",
        ),
        _keys(
            status="how it ended",
            close_reason="why",
            usage="per model",
            conversation="counts",
            outcome="success or fail, as the user's code says",
            evaluations="what judges said",
        ),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:user_turn",
        "User turn",
        "What the user said, from the first sound to the end of the turn.",
        "{{ transcript }}",
        _keys(turn_index="number in the call", modality="audio or text"),
        _keys(transcript="what was understood", language="of it", confidence="of the STT"),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:assistant_turn",
        "Assistant turn",
        "What the agent said, from the moment it was decided to the end of its sound.",
        "{{ spoken_text }}{% if interrupted %} (interrupted){% endif %}",
        _keys(turn_index="number in the call", source="generate_reply, say or tool_response"),
        _keys(
            generated_text="all of it",
            spoken_text="what was heard",
            interrupted="cut off by the user",
            latency=_LATENCY,
        ),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:llm",
        "LLM call",
        "One call of the llm_node: from the call to the end of its stream.",
        "{{ model_name }}: {{ text }}",
        _keys(inputs="messages and tools", **_TOKENS, **_MODEL),
        _keys(text="the answer", tool_calls="asked for", usage="as reported", streams=_STREAMS),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:stt",
        "Speech recognition",
        "One utterance as the STT heard it.",
        "{{ model_name }}: {{ transcript }}",
        _keys(**_MODEL),
        _keys(transcript="final", audio_seconds="heard", streams=_STREAMS),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:tts",
        "Speech synthesis",
        "One call of the tts_node: text in, audio out.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**_MODEL),
        _keys(
            text="spoken",
            audio_seconds="made",
            time_to_first_byte_ms="from first text to first audio",
            streams=_STREAMS,
        ),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:transcription",
        "Transcription",
        "The text of the agent as it was sent to the user's screen.",
        "{{ text }}",
        _keys(turn_index="number in the call"),
        _keys(text="all of it", characters="how many", streams=_STREAMS),
        _SPEECH_RISK,
    ),
    _Type(
        "livekit:tool",
        "Tool call",
        "A tool of the agent's: from the beginning of its body to its end.",
        "{{ tool_name }} {{ outcome }}",
        _keys(tool_name="the tool", call_id="the LLM's id of the call", inputs="arguments"),
        _keys(outcome="how it ended", outputs="what it returned", error="what it raised"),
        _UNKNOWN_RISK,
    ),
    _Type(
        "livekit:tool_result",
        "Tool result",
        "What a tool returned or raised, at the moment when it did.",
        "{{ tool_name }}: {{ outcome }} after {{ duration_ms }} ms",
        _keys(tool_name="the tool", call_id="the LLM's id of the call"),
        _keys(outcome="how it ended", outputs="what it returned", error="what it raised"),
        _UNKNOWN_RISK,
    ),
    _Type(
        "livekit:error",
        "Error",
        "An error of the session, or of a node.",
        "{{ source }}: {{ error_type }} {{ message }}",
        _keys(source="where", error_type="class", message="text", recoverable="LiveKit's view"),
        _keys(error="type and message"),
        _UNKNOWN_RISK,
    ),
    _Type(
        "livekit:state",
        "State change",
        "The user or the agent began to speak, listen, think or was away.",
        "{{ actor }}: {{ old_state }} to {{ new_state }}",
        _keys(actor="user or agent", old_state="before", new_state="after"),
        _keys(),
        _TIMES_RISK,
    ),
    _Type(
        "livekit:handoff",
        "Handoff",
        "One agent gave the call to another.",
        "{{ from }} to {{ to }}",
        _keys(),
        _keys(),
        _TIMES_RISK,
    ),
    _Type(
        "livekit:realtime",
        "Realtime reply",
        "Speech of a realtime model.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**_MODEL),
        _keys(audio_seconds="made", streams=_STREAMS),
        _SPEECH_RISK,
    ),
)
BASE_TYPES = frozenset(type_.name for type_ in _TYPES)

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
_QUALITY_SCHEMA: JSON = {
    "type": "object",
    "properties": {
        "turns": _COUNT,
        "user_turns": _COUNT,
        "assistant_turns": _COUNT,
        "interruptions": _COUNT,
        "tool_calls": _COUNT,
        "tool_failures": _COUNT,
        "errors": _COUNT,
        "perceived_latency_median_ms": _NUMBER,
        "perceived_latency_worst_ms": _NUMBER,
        "turns_over_budget": _COUNT,
        "prompt_tokens": _COUNT,
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
        "user_speech_seconds": _NUMBER,
        "agent_speech_seconds": _NUMBER,
        "outcome": {"enum": ["success", "fail"]},
        "evaluations": _COUNT,
        "evaluation_score": {**_NUMBER, "maximum": 1},
    },
    "required": ["turns", "interruptions", "tool_calls", "tool_failures", "errors"],
    "additionalProperties": False,
}


def registry(
    tool_types: Iterable[str] = (), tools: Mapping[str, ToolSchema] | None = None
) -> SchemaRegistry:
    """All span types, those of single tools (``livekit:tool:<name>``) among them."""
    made = SchemaRegistry()
    for type_ in _TYPES:
        made.register_type(
            type_.name,
            type_.params,
            type_.result,
            title=type_.title,
            description=type_.description,
            template=type_.template,
            data_risk=type_.risk,
        )
    tool = next(type_ for type_ in _TYPES if type_.name == "livekit:tool")
    for name in sorted({*tool_types} - BASE_TYPES):
        said = (tools or {}).get(name.removeprefix(TOOL_PREFIX), ToolSchema())
        made.register_type(
            name,
            said.input_schema or tool.params,
            said.result_schema or tool.result,
            title=f"Tool {name.removeprefix(TOOL_PREFIX)}",
            description=said.description or tool.description,
            template=said.template or tool.template,
            data_risk=said.data_risk or tool.risk,
        )
    made.register_quality_schema(
        QUALITY,
        _QUALITY_SCHEMA,
        title="Call quality",
        description="How a call went: counts, waiting times, tokens, seconds of speech.",
        template="{{ turns }} turns, {{ interruptions }} interruptions, {{ errors }} errors",
        data_risk=_TIMES_RISK,
    )
    return made


def agent_schema_version(
    tool_types: Iterable[str] = (), tools: Mapping[str, ToolSchema] | None = None
) -> JSON:
    """The schemas as a call is registered with them. Their name is a hash of them, since Prefactor
    lets a name mean one set of schemas for ever."""
    body = registry(tool_types, tools).to_agent_schema_version("")
    print_ = hashlib.sha256(to_json(body)).hexdigest()[:20]
    return {**body, "external_identifier": f"prefactor-agent-{print_}"}
