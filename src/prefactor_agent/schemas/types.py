"""The table of the span types: title, description, one-line summary, data risk.

The schemas name what a payload holds and leave it open: redaction may replace any value, and a span
that Prefactor refuses for its shape would be lost to whoever looks for it there."""

from __future__ import annotations

from typing import NamedTuple

from ..core.json import JSON

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
TIMES_RISK: JSON = {
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


class SpanTypeSchema(NamedTuple):
    name: str
    title: str
    description: str
    template: str
    params: JSON
    result: JSON
    risk: JSON

    def entry(self) -> JSON:
        """As an agent's schema version lists it."""
        return {
            "name": self.name,
            "params_schema": self.params,
            "result_schema": self.result,
            "title": self.title,
            "description": self.description,
            "template": self.template,
            "data_risk": self.risk,
        }


def _keys(**described: str) -> JSON:
    """An object that holds these keys, among others, each of any type."""
    return {
        "type": "object",
        "properties": {name: {"description": text} for name, text in described.items()},
    }


_SPAN = {"name": "of the span", "type": "of the span", "metadata": "for keys of Prefactor's"}
_TURN = {
    **_SPAN,
    "turn_index": "number in the call",
    "created_at": "when it was created",
    "started_at": "when it began",
}
_MODEL_CALL = {
    **_SPAN,
    "turn_index": "of the turn",
    "request_id": "the provider's",
    "timestamp": "when it began",
}
_ENDED = {"status": "how it ended", "error": "type and message of what failed"}
_LATENCY = "the stages between the user's last sound and the agent's first"
_STREAMS = "what passed through, chunk by chunk: offsets, sizes, texts or loudness"
_TOKENS = {"token_usage": "tokens in and out"}
_MODEL = {"model_name": "the model", "provider": "who runs it", "label": "LiveKit's name of it"}

TYPES = (
    SpanTypeSchema(
        "livekit:session",
        "LiveKit Session",
        "One call: from the start of the AgentSession to its end.",
        "{{ agent_class }} {{ room.name }} {{ close_reason }}",
        _keys(
            **_SPAN,
            agent_name="the agent's name",
            agent_class="class of the agent that began",
            session_class="class of the session",
            started_at="when it began",
            finished_at="when it ended",
            models="STT, LLM, TTS and VAD",
            room="LiveKit's room",
            job="LiveKit's job",
        ),
        _keys(
            **_ENDED,
            close_reason="why",
            usage="per model",
            conversation="counts",
            outcome="success or fail, as the user's code says",
            evaluations="what judges said",
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:user_turn",
        "LiveKit User Turn",
        "What the user said, from the first sound to the end of the turn.",
        "{{ transcript }}",
        _keys(**_TURN, modality="audio or text"),
        _keys(
            **_ENDED,
            transcript="what was understood",
            language="of it",
            speaker_id="who spoke",
            confidence="of the STT",
            is_final="whether the turn was committed",
            metrics="LiveKit's",
            finished_at="when it ended",
            metadata="for keys of Prefactor's",
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:assistant_turn",
        "LiveKit Assistant Turn",
        "What the agent said, from the moment it was decided to the end of its sound.",
        "{{ spoken_text }}{% if interrupted %} (interrupted){% endif %}",
        _keys(
            **_TURN,
            source="generate_reply, say or tool_response",
            user_initiated="the program asked for it",
        ),
        _keys(
            **_ENDED,
            outputs="what was said",
            metrics="LiveKit's",
            finished_at="when it ended",
            generated_text="all of it",
            spoken_text="what was heard",
            interrupted="cut off by the user",
            latency=_LATENCY,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:llm",
        "LiveKit LLM Metrics",
        "One call of the llm_node: from the call to the end of its stream.",
        "{{ model_name }}: {{ text }}",
        _keys(**_MODEL_CALL, inputs="messages and tools", **_TOKENS, **_MODEL),
        _keys(
            **_ENDED,
            text="the answer",
            tool_calls="asked for",
            usage="as reported",
            metrics="LiveKit's",
            streams=_STREAMS,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:stt",
        "Speech recognition",
        "One utterance as the STT heard it.",
        "{{ model_name }}: {{ transcript }}",
        _keys(**_MODEL_CALL, **_MODEL),
        _keys(
            **_ENDED,
            transcript="final",
            audio_seconds="heard",
            metrics="LiveKit's",
            streams=_STREAMS,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:tts",
        "Speech synthesis",
        "One call of the tts_node: text in, audio out.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**_MODEL_CALL, **_MODEL),
        _keys(
            **_ENDED,
            text="spoken",
            audio_seconds="made",
            time_to_first_byte_ms="from first text to first audio",
            metrics="LiveKit's",
            streams=_STREAMS,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:transcription",
        "Transcription",
        "The text of the agent as it was sent to the user's screen.",
        "{{ text }}",
        _keys(turn_index="number in the call"),
        _keys(text="all of it", characters="how many", streams=_STREAMS),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:tool",
        "LiveKit Tool",
        "A tool of the agent's: from the beginning of its body to its end.",
        "{{ tool_name }} {{ outcome }}",
        _keys(
            **_SPAN,
            tool_name="the tool",
            call_id="the LLM's id of the call",
            group_id="of calls made together",
            run_by="provider, if it is not the agent's",
            inputs="arguments",
            created_at="when it was called",
        ),
        _keys(
            **_ENDED,
            outcome="returned, or what else",
            outputs="what it returned",
            is_error="whether it failed",
        ),
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:tool_result",
        "Tool result",
        "What a tool returned or raised, at the moment when it did.",
        "{{ tool_name }}: {{ outcome }} after {{ duration_ms }} ms",
        _keys(tool_name="the tool", call_id="the LLM's id of the call"),
        _keys(outcome="how it ended", outputs="what it returned", error="what it raised"),
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:error",
        "LiveKit Error",
        "An error of the session, or of a node.",
        "{{ source }}: {{ error_type }} {{ message }}",
        _keys(
            **_SPAN,
            source="where",
            error_type="class",
            message="text",
            recoverable="LiveKit's view",
            created_at="when",
        ),
        _keys(**_ENDED),
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:state",
        "State change",
        "The user or the agent began to speak, listen, think or was away.",
        "{{ actor }}: {{ old_state }} to {{ new_state }}",
        _keys(
            **_SPAN,
            actor="user or agent",
            old_state="until then",
            new_state="from then on",
            event_type="LiveKit's",
            created_at="when",
        ),
        _keys(status="how it ended", metrics="LiveKit's"),
        TIMES_RISK,
    ),
    SpanTypeSchema(
        "livekit:handoff",
        "Handoff",
        "One agent gave the call to another.",
        "{{ from }} to {{ to }}",
        _keys(
            **{"from": "the old agent", "to": "the new one"},
            cause="tool, hook, task_completed or program",
            tool_name="the tool that it came out of",
            call_id="the LLM's id of that call",
        ),
        _keys(),
        TIMES_RISK,
    ),
    SpanTypeSchema(
        "livekit:realtime",
        "Realtime reply",
        "Speech of a realtime model.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**_MODEL),
        _keys(audio_seconds="made", streams=_STREAMS),
        _SPEECH_RISK,
    ),
)
BASE_TYPES = frozenset(type_.name for type_ in TYPES)
TOOL_TYPE = next(type_ for type_ in TYPES if type_.name == "livekit:tool")

_NUMBER = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 0}
QUALITY_SCHEMA: JSON = {
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
