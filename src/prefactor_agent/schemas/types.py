"""The table of the span types: title, description, one-line summary, what they hold, data risk, and
which of their fields are no content.

The schemas name what a payload holds and leave it open: redaction may replace any value, and a span
that Prefactor refuses for its shape would be lost to whoever looks for it there.

With content capture off, a span keeps what ``kept`` names of its payload and ``kept_result`` of its
result, and nothing else of its values: a new field is content until it is named there."""

from __future__ import annotations

from . import parts, risk, templates
from .content import each, fields, measures, shape
from .entry import SpanTypeSchema
from .session import SESSION

TYPES = (
    SESSION,
    SpanTypeSchema(
        name="livekit:user_turn",
        title="LiveKit User Turn",
        description="What the user said, from the first sound to the end of the turn.",
        template=templates.USER_TURN,
        params=parts.keys(**parts.TURN, modality="audio or text"),
        result=parts.keys(
            **parts.ENDED,
            transcript="what was understood",
            language="of it",
            speaker_id="who spoke",
            confidence="of the STT",
            is_final="whether the turn was committed",
            declined="true: the program wanted no answer to it",
            metrics="LiveKit's",
            finished_at="when it ended",
            metadata="for keys of Prefactor's",
        ),
        kept=fields(f"{parts.KEPT_TURN} modality", metadata=shape()),
        kept_result=fields(
            "status finished_at is_final declined language speaker_id confidence interim_revisions"
            " end_of_turn_delay_ms transcription_delay_ms",
            partial_transcripts=each(fields("created_at")),
            metrics=parts.KEPT_METRICS,
            moments_us=measures(),
            end_of_turn=measures("detector"),
            **parts.KEPT_END,
        ),
        risk=risk.TURN,
    ),
    SpanTypeSchema(
        name="livekit:assistant_turn",
        title="LiveKit Assistant Turn",
        description="What the agent said, from the moment it was decided to the end of its sound.",
        template=templates.ASSISTANT_TURN,
        params=parts.keys(
            **parts.TURN,
            source="generate_reply, say or tool_response",
            user_initiated="the program asked for it",
        ),
        result=parts.keys(
            **parts.ENDED,
            outputs="what was said",
            metrics="LiveKit's",
            finished_at="when it ended",
            generated_text="all of it",
            spoken_text="what was heard",
            interrupted="cut off by the user",
            declined="true: the tools that it called wanted no words after them",
            latency=parts.LATENCY,
        ),
        kept=fields(
            f"{parts.KEPT_TURN} source user_initiated allow_interruptions speech_id",
            reply_to=each(fields("tool_id tool_name update_ids")),
            created_by=fields("tool_id tool_name"),
            metadata=shape(),
        ),
        kept_result=fields(
            "status finished_at interrupted interrupted_by preemptive playback_position_s"
            " declined barge_in_ms overlap_ms user_turn_id first_sound_by answer_ms tool_calls",
            outputs=shape(message=shape(content=parts.KEPT_PARTS, metrics=measures())),
            segments=each(
                fields(
                    "started_us finished_us position_s interrupted", waits=each(fields("at_us ms"))
                )
            ),
            pauses=each(fields("at_us state")),
            gaps=each(fields("at_us ms cause")),
            latency=fields(
                "at_us perceived_ms filler",
                basis=fields("from to"),
                stages=each(fields("name ms")),
                over_budget=measures(),
            ),
            network_estimate=measures(),
            echo=measures(),
            metrics=parts.KEPT_METRICS,
            moments_us=measures(),
            **parts.KEPT_END,
        ),
        risk=risk.TURN,
    ),
    SpanTypeSchema(
        name="livekit:llm",
        title="LiveKit LLM",
        description="One call of the llm_node: from the call to the end of its stream.",
        template=templates.LLM,
        params=parts.keys(
            **parts.MODEL_CALL, inputs="messages and tools", **parts.TOKENS, **parts.MODEL
        ),
        result=parts.keys(
            **parts.ENDED,
            text="the answer",
            tool_calls="asked for",
            usage="as reported",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        kept=fields(
            f"{parts.KEPT_CALL} from_metrics",
            inputs=fields(
                "tools images messages_total messages_omitted",
                messages=each(parts.KEPT_MESSAGE),
                tool_choice=fields("type name", function=fields("name")),
                ai=fields(model=fields("id")),
            ),
            otel=parts.KEPT_LINK,
            metadata=shape(),
        ),
        kept_result=fields(
            "status finish_reason request_id time_to_first_token_ms",
            tool_calls=each(parts.KEPT_TOOL_CALL),
            usage=measures(),
            token_usage=measures(),
            metrics=parts.KEPT_METRICS,
            ai=fields("finishReason"),
            **parts.KEPT_END,
        ),
        risk=risk.MODEL,
    ),
    SpanTypeSchema(
        name="livekit:stt",
        title="Speech recognition",
        description="One utterance as the STT heard it.",
        template=templates.STT,
        params=parts.keys(**parts.MODEL_CALL, **parts.MODEL),
        result=parts.keys(
            **parts.ENDED,
            transcript="final",
            audio_seconds="heard",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        kept=fields(parts.KEPT_CALL, metadata=shape()),
        kept_result=fields(
            "status audio_seconds interim_revisions finalization_delay_ms",
            metrics=parts.KEPT_METRICS,
            **parts.KEPT_END,
        ),
        risk=risk.RECOGNITION,
    ),
    SpanTypeSchema(
        name="livekit:tts",
        title="Speech synthesis",
        description="One call of the tts_node: text in, audio out.",
        template=templates.TTS,
        params=parts.keys(**parts.MODEL_CALL, **parts.MODEL),
        result=parts.keys(
            **parts.ENDED,
            text="spoken",
            audio_seconds="made",
            time_to_first_byte_ms="from first text to first audio",
            metrics="LiveKit's",
            streams=parts.STREAMS,
        ),
        kept=fields(parts.KEPT_CALL, otel=parts.KEPT_LINK, metadata=shape()),
        kept_result=fields(
            "status characters frames audio_seconds time_to_first_byte_ms real_time_factor"
            " longest_gap_ms leading_silence_ms words_per_second",
            metrics=parts.KEPT_METRICS,
            **parts.KEPT_END,
        ),
        risk=risk.MODEL,
    ),
    SpanTypeSchema(
        name="livekit:transcription",
        title="Transcription",
        description="The text of the agent as it was sent to the user's screen.",
        template=templates.TRANSCRIPTION,
        params=parts.keys(turn_index="number in the call"),
        result=parts.keys(text="all of it", characters="how many", streams=parts.STREAMS),
        kept=fields(parts.KEPT_CALL, otel=parts.KEPT_LINK, metadata=shape()),
        kept_result=fields("status characters", **parts.KEPT_END),
        risk=risk.TEXT,
    ),
    SpanTypeSchema(
        name="livekit:tool",
        title="LiveKit Tool",
        description="A tool of the agent's: from the beginning of its body to its end.",
        template=templates.tool(),
        params=parts.keys(
            **parts.SPAN,
            tool_name="the tool",
            call_id="the LLM's id of the call",
            group_id="of calls made together",
            run_by="provider, if it is not the agent's",
            inputs="arguments",
            created_at="when it was called",
        ),
        result=parts.keys(
            **parts.ENDED,
            outcome="returned, or what else",
            outputs="what it returned",
            is_error="whether the model got an error",
            updates="what it reported while it ran",
        ),
        kept=fields(
            "name type tool_name call_id group_id turn_index run_by from_events created_at",
            inputs=shape(),
            otel=parts.KEPT_LINK,
            metadata=shape(),
        ),
        kept_result=parts.KEPT_TOOL_RESULT,
        risk=risk.TOOL,
    ),
    SpanTypeSchema(
        name="livekit:tool_result",
        title="Tool result",
        description="What a tool returned or raised, at the moment when it did.",
        template=templates.TOOL_RESULT,
        params=parts.keys(tool_name="the tool", call_id="the LLM's id of the call"),
        result=parts.keys(
            outcome="how it ended", outputs="what it returned", error="what it raised"
        ),
        kept=fields("name type tool_name call_id run_by from_events"),
        kept_result=parts.KEPT_TOOL_RESULT,
        risk=risk.TOOL,
    ),
    SpanTypeSchema(
        name="livekit:error",
        title="LiveKit Error",
        description="An error of the session, or of a node.",
        template=templates.ERROR,
        params=parts.keys(
            **parts.SPAN,
            source="where",
            error_type="class",
            message="text",
            recoverable="LiveKit's view",
            created_at="when",
        ),
        result=parts.keys(**parts.ENDED),
        kept=fields(
            "name type source error_type recoverable label model_name provider created_at",
            metadata=shape(),
        ),
        kept_result=fields("status", **parts.KEPT_END),
        risk=risk.ERROR,
    ),
    SpanTypeSchema(
        name="livekit:state",
        title="State change",
        description="The user or the agent began to speak, listen, think or was away.",
        template=templates.STATE,
        params=parts.keys(
            **parts.SPAN,
            actor="user or agent",
            old_state="until then",
            new_state="from then on",
            event_type="LiveKit's",
            created_at="when",
        ),
        result=parts.keys(status="how it ended", metrics="LiveKit's"),
        kept=fields("name type actor old_state new_state event_type created_at", metadata=shape()),
        kept_result=fields("status", **parts.KEPT_END),
        risk=risk.MEASURES,
    ),
    SpanTypeSchema(
        name="livekit:handoff",
        title="Handoff",
        description="One agent gave the call to another.",
        template=templates.HANDOFF,
        params=parts.keys(
            **{"from": "the old agent", "to": "the new one"},
            cause="tool, hook, program, or how a task ended",
            tool_name="the tool that it came out of",
            call_id="the LLM's id of that call",
        ),
        result=parts.keys(),
        kept=fields(
            "name type from to cause tool_name call_id created_at",
            error=fields("error_type"),
            metadata=shape(),
        ),
        kept_result=fields("status", **parts.KEPT_END),
        risk=risk.MEASURES,
    ),
    SpanTypeSchema(
        name="livekit:realtime",
        title="Realtime reply",
        description="Speech of a realtime model.",
        template=templates.REALTIME,
        params=parts.keys(**parts.MODEL),
        result=parts.keys(audio_seconds="made", streams=parts.STREAMS),
        kept=fields(parts.KEPT_CALL, otel=parts.KEPT_LINK, metadata=shape()),
        kept_result=fields(
            "status request_id frames audio_seconds leading_silence_ms",
            usage=measures("request_id"),
            token_usage=measures(),
            **parts.KEPT_END,
        ),
        risk=risk.MODEL,
    ),
    SpanTypeSchema(
        name="livekit:rpc",
        title="Remote procedure call",
        description="A call of a method between the agent and another participant of the room.",
        template=templates.RPC,
        params=parts.keys(
            direction="sent or received by the agent",
            method="its name",
            participant="on the other side",
            payload="what was asked",
            payload_bytes="its size",
        ),
        result=parts.keys(
            **parts.ENDED,
            response="what was answered",
            response_bytes="its size",
            error_code="livekit.rtc's",
        ),
        kept=fields("name type direction method request_id response_timeout_s payload_bytes"),
        kept_result=fields("status response_bytes error_code", **parts.KEPT_END),
        risk=risk.TOOL,
    ),
)
_BY_NAME = {type_.name: type_ for type_ in TYPES}
BASE_TYPES = frozenset(_BY_NAME)
TOOL_TYPE = _BY_NAME["livekit:tool"]


def type_of(name: str) -> SpanTypeSchema:
    """The type with this name; the spans of single tools, whatever a program calls their type, are
    like all tools'."""
    return _BY_NAME.get(name, TOOL_TYPE)
