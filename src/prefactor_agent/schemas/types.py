"""The table of the span types: title, description, one-line summary, what they hold, data risk, and
which of their fields are no content.

The schemas name what a payload holds and leave it open: redaction may replace any value, and a span
that Prefactor refuses for its shape would be lost to whoever looks for it there.

With content capture off, a span keeps what ``kept`` names of its payload and ``kept_result`` of its
result, and nothing else of its values: a new field is content until it is named there."""

from __future__ import annotations

from ..core.json import JSON
from . import parts
from .content import KEPT, each, fields, measures, shape
from .entry import SpanTypeSchema

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


def _keys(**described: str) -> JSON:
    """An object that holds these keys, among others, each of any type."""
    return {
        "type": "object",
        "properties": {name: {"description": text} for name, text in described.items()},
    }


TYPES = (
    SpanTypeSchema(
        "livekit:session",
        "LiveKit Session",
        "One call: from the start of the AgentSession to its end.",
        "{{ agent_class }} {{ room.name }} {{ close_reason }}",
        _keys(
            **parts.SPAN,
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
            **parts.ENDED,
            close_reason="why",
            usage="per model",
            conversation="counts",
            outcome="success or fail, as the user's code says",
            evaluations="what judges said",
        ),
        fields(
            "name type agent_name agent_class agent_version session_class worker_id tools"
            " started_at closed_at close_reason session_number",
            models=each(fields("label model_name provider")),
            room=fields("name sid"),
            job=fields("id agent_name dispatch_id"),
            participant=parts.KEPT_PERSON,
            budgets=measures(),
            instance=fields("id supplied"),
            metadata=fields("agent_id", tool_span_types=each(KEPT)),
        ),
        fields(
            "status close_reason termination_reason shutdown_reason room_disconnect_reason"
            " finished_at outcome tracer_failures dtmf_total session_number"
            " sessions_together",
            usage=fields(model_usage=each(measures("type model provider"))),
            conversation=measures(),
            latency=measures("slowest_stage"),
            hooks=each(fields("name agent status started_us duration_ms")),
            participants=each(parts.KEPT_PERSON),
            dtmf=each(fields("at_us direction failed")),
            evaluations=each(fields("name")),
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:user_turn",
        "LiveKit User Turn",
        "What the user said, from the first sound to the end of the turn.",
        "{{ transcript }}",
        _keys(**parts.TURN, modality="audio or text"),
        _keys(
            **parts.ENDED,
            transcript="what was understood",
            language="of it",
            speaker_id="who spoke",
            confidence="of the STT",
            is_final="whether the turn was committed",
            metrics="LiveKit's",
            finished_at="when it ended",
            metadata="for keys of Prefactor's",
        ),
        fields(f"{parts.KEPT_TURN} modality", metadata=shape()),
        fields(
            "status finished_at is_final language speaker_id confidence interim_revisions"
            " end_of_turn_delay_ms transcription_delay_ms",
            partial_transcripts=each(fields("created_at")),
            metrics=parts.KEPT_METRICS,
            moments_us=measures(),
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:assistant_turn",
        "LiveKit Assistant Turn",
        "What the agent said, from the moment it was decided to the end of its sound.",
        "{{ spoken_text }}{% if interrupted %} (interrupted){% endif %}",
        _keys(
            **parts.TURN,
            source="generate_reply, say or tool_response",
            user_initiated="the program asked for it",
        ),
        _keys(
            **parts.ENDED,
            outputs="what was said",
            metrics="LiveKit's",
            finished_at="when it ended",
            generated_text="all of it",
            spoken_text="what was heard",
            interrupted="cut off by the user",
            latency=parts.LATENCY,
        ),
        fields(
            f"{parts.KEPT_TURN} source user_initiated allow_interruptions speech_id",
            reply_to=each(fields("tool_id tool_name update_ids")),
            metadata=shape(),
        ),
        fields(
            "status finished_at interrupted interrupted_by preemptive playback_position_s"
            " barge_in_ms overlap_ms user_turn_id first_sound_by answer_ms tool_calls",
            outputs=shape(message=shape(content=parts.KEPT_PARTS)),
            segments=each(fields("started_us finished_us position_s interrupted")),
            pauses=each(fields("at_us state")),
            gaps=each(fields("at_us ms cause")),
            latency=fields(
                "perceived_ms filler",
                basis=fields("from to"),
                stages=each(fields("name ms")),
                over_budget=measures(),
            ),
            network_estimate=measures(),
            metrics=parts.KEPT_METRICS,
            moments_us=measures(),
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:llm",
        "LiveKit LLM Metrics",
        "One call of the llm_node: from the call to the end of its stream.",
        "{{ model_name }}: {{ text }}",
        _keys(**parts.MODEL_CALL, inputs="messages and tools", **parts.TOKENS, **parts.MODEL),
        _keys(
            **parts.ENDED,
            text="the answer",
            tool_calls="asked for",
            usage="as reported",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        fields(
            f"{parts.KEPT_CALL} from_metrics",
            inputs=fields(
                "tools images messages_total messages_omitted",
                messages=each(parts.KEPT_MESSAGE),
                tool_choice=fields("type name", function=fields("name")),
                ai=fields(model=fields("id")),
            ),
            metadata=shape(),
        ),
        fields(
            "status finish_reason request_id time_to_first_token_ms",
            tool_calls=each(parts.KEPT_TOOL_CALL),
            usage=measures(),
            token_usage=measures(),
            metrics=parts.KEPT_METRICS,
            ai=fields("finishReason"),
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:stt",
        "Speech recognition",
        "One utterance as the STT heard it.",
        "{{ model_name }}: {{ transcript }}",
        _keys(**parts.MODEL_CALL, **parts.MODEL),
        _keys(
            **parts.ENDED,
            transcript="final",
            audio_seconds="heard",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        fields(parts.KEPT_CALL, metadata=shape()),
        fields(
            "status audio_seconds interim_revisions finalization_delay_ms",
            metrics=parts.KEPT_METRICS,
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:tts",
        "Speech synthesis",
        "One call of the tts_node: text in, audio out.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**parts.MODEL_CALL, **parts.MODEL),
        _keys(
            **parts.ENDED,
            text="spoken",
            audio_seconds="made",
            time_to_first_byte_ms="from first text to first audio",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        fields(parts.KEPT_CALL, metadata=shape()),
        fields(
            "status characters frames audio_seconds time_to_first_byte_ms real_time_factor"
            " longest_gap_ms leading_silence_ms words_per_second",
            metrics=parts.KEPT_METRICS,
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:transcription",
        "Transcription",
        "The text of the agent as it was sent to the user's screen.",
        "{{ text }}",
        _keys(turn_index="number in the call"),
        _keys(text="all of it", characters="how many", streams=parts.STREAMS),
        fields(parts.KEPT_CALL, metadata=shape()),
        fields("status characters", **parts.KEPT_END),
        _SPEECH_RISK,
    ),
    SpanTypeSchema(
        "livekit:tool",
        "LiveKit Tool",
        "A tool of the agent's: from the beginning of its body to its end.",
        "{{ tool_name }} {{ outcome }}",
        _keys(
            **parts.SPAN,
            tool_name="the tool",
            call_id="the LLM's id of the call",
            group_id="of calls made together",
            run_by="provider, if it is not the agent's",
            inputs="arguments",
            created_at="when it was called",
        ),
        _keys(
            **parts.ENDED,
            outcome="returned, or what else",
            outputs="what it returned",
            is_error="whether the model got an error",
            updates="what it reported while it ran",
        ),
        fields(
            "name type tool_name call_id group_id turn_index run_by from_events created_at",
            inputs=shape(),
            metadata=shape(),
        ),
        parts.KEPT_TOOL_RESULT,
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:tool_result",
        "Tool result",
        "What a tool returned or raised, at the moment when it did.",
        "{{ tool_name }}: {{ outcome }} after {{ duration_ms }} ms",
        _keys(tool_name="the tool", call_id="the LLM's id of the call"),
        _keys(outcome="how it ended", outputs="what it returned", error="what it raised"),
        fields("name type tool_name call_id run_by from_events"),
        parts.KEPT_TOOL_RESULT,
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:error",
        "LiveKit Error",
        "An error of the session, or of a node.",
        "{{ source }}: {{ error_type }} {{ message }}",
        _keys(
            **parts.SPAN,
            source="where",
            error_type="class",
            message="text",
            recoverable="LiveKit's view",
            created_at="when",
        ),
        _keys(**parts.ENDED),
        fields(
            "name type source error_type recoverable label model_name provider created_at",
            metadata=shape(),
        ),
        fields("status", **parts.KEPT_END),
        _UNKNOWN_RISK,
    ),
    SpanTypeSchema(
        "livekit:state",
        "State change",
        "The user or the agent began to speak, listen, think or was away.",
        "{{ actor }}: {{ old_state }} to {{ new_state }}",
        _keys(
            **parts.SPAN,
            actor="user or agent",
            old_state="until then",
            new_state="from then on",
            event_type="LiveKit's",
            created_at="when",
        ),
        _keys(status="how it ended", metrics="LiveKit's"),
        fields("name type actor old_state new_state event_type created_at", metadata=shape()),
        fields("status", **parts.KEPT_END),
        TIMES_RISK,
    ),
    SpanTypeSchema(
        "livekit:handoff",
        "Handoff",
        "One agent gave the call to another.",
        "{{ from }} to {{ to }}",
        _keys(
            **{"from": "the old agent", "to": "the new one"},
            cause="tool, hook, program, or how a task ended",
            tool_name="the tool that it came out of",
            call_id="the LLM's id of that call",
        ),
        _keys(),
        fields(
            "name type from to cause tool_name call_id created_at",
            error=fields("error_type"),
            metadata=shape(),
        ),
        fields("status", **parts.KEPT_END),
        TIMES_RISK,
    ),
    SpanTypeSchema(
        "livekit:realtime",
        "Realtime reply",
        "Speech of a realtime model.",
        "{{ model_name }}: {{ audio_seconds }} s of speech",
        _keys(**parts.MODEL),
        _keys(audio_seconds="made", streams=parts.STREAMS),
        fields(parts.KEPT_CALL, metadata=shape()),
        fields(
            "status request_id frames audio_seconds leading_silence_ms",
            usage=measures("request_id"),
            token_usage=measures(),
            **parts.KEPT_END,
        ),
        _SPEECH_RISK,
    ),
)
_BY_NAME = {type_.name: type_ for type_ in TYPES}
BASE_TYPES = frozenset(_BY_NAME)
TOOL_TYPE = _BY_NAME["livekit:tool"]


def type_of(name: str) -> SpanTypeSchema:
    """The type with this name; the spans of single tools, whatever a program calls their type, are
    like all tools'."""
    return _BY_NAME.get(name, TOOL_TYPE)
