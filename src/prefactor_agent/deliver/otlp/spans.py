"""The attributes of each type of span. ``docs/otlp.md`` has them in a table.

An attribute whose value is ``None`` is not sent: what was not measured is absent."""

from __future__ import annotations

from typing import Any

from ...conversation import stages
from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON, without_none
from ...core.placeholders import REDACTED, SIZE_OF_TEXT
from ...core.values import as_list, mapping, mappings, number, text
from . import genai
from .attributes import as_text, seconds, shown
from .costs import request_cost
from .dialogue import heard, whole, words
from .provider import provider_name
from .reading import Reading


def session(call: Reading) -> JSON:
    payload, result = call.payload, call.result
    latency, pickup = mapping(result.get("latency")), mapping(result.get("pickup"))
    unanswered = mapping(result.get("unanswered"))
    room, job = mapping(payload.get("room")), mapping(payload.get("job"))
    agent = call.row.around.agent
    participant = mapping(payload.get("participant"))
    return {
        **shown("input", heard(call.conversation)),
        **shown("output", whole(call.conversation)),
        "gen_ai.agent.name": agent,
        "gen_ai.agent.version": payload.get("agent_version"),
        "langfuse.trace.name": _named("call", agent),
        "user.id": _unless_described(participant.get("identity")),
        "tag.tags": as_list(result.get("tags")),
        "langfuse.trace.tags": as_list(result.get("tags")),
        "prefactor.agent.class": payload.get("agent_class"),
        "prefactor.room.name": room.get("name"),
        "prefactor.room.sid": room.get("sid"),
        "prefactor.job.id": job.get("id"),
        "prefactor.sip.call_id": mapping(result.get("sip")).get("call_id"),
        "prefactor.close_reason": result.get("close_reason"),
        "prefactor.hung_up_by": result.get("hung_up_by"),
        "prefactor.outcome": result.get("outcome"),
        "prefactor.outcome_reason": result.get("outcome_reason"),
        "prefactor.termination_reason": result.get("termination_reason"),
        "prefactor.turns": latency.get("turns"),
        "prefactor.dead_air.median": seconds(latency.get("median_ms")),
        "prefactor.dead_air.p95": seconds(latency.get("p95_ms")),
        "prefactor.dead_air.worst": seconds(latency.get("worst_ms")),
        "prefactor.slowest_stage": latency.get("slowest_stage"),
        "prefactor.pickup": seconds(pickup.get("ms")),
        **_stages("prefactor.pickup_stage", pickup),
        "prefactor.over_budget": latency.get("over_budget"),
        "prefactor.unanswered": unanswered.get("turns"),
        "prefactor.unanswered_worst": seconds(unanswered.get("longest_ms")),
    }


def assistant_turn(turn: Reading) -> JSON:
    result, agent = turn.result, turn.row.around.agent
    latency = mapping(result.get("latency"))
    question = words(turn.question.get("transcript")) or None
    spoken, generated = result.get("spoken_text"), result.get("generated_text")
    asked = [genai.user_message(question)] if question else []
    said = genai.output_message(words(spoken), [], _unfinished(turn))
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": agent,
        **_messages(asked, [said] if said else []),
        **shown("input", question),
        **shown("output", spoken),
        "prefactor.turn": turn.payload.get("turn_index"),
        "prefactor.source": turn.payload.get("source"),
        "prefactor.speech_id": turn.payload.get("speech_id"),
        "prefactor.user_turn_id": result.get("user_turn_id"),
        "prefactor.dead_air": seconds(latency.get("perceived_ms")),
        **_stages("prefactor.stage", latency),
        "prefactor.answer": seconds(result.get("answer_ms")),
        "prefactor.interrupted": result.get("interrupted"),
        "prefactor.interrupted_by": result.get("interrupted_by"),
        "prefactor.preemptive": result.get("preemptive"),
        "prefactor.playback": result.get("playback_position_s"),
        "prefactor.barge_in": seconds(result.get("barge_in_ms")),
        "prefactor.overlap": seconds(result.get("overlap_ms")),
        "prefactor.tool_calls": result.get("tool_calls"),
        "prefactor.generated_text": generated if generated != spoken else None,
    }


def user_turn(turn: Reading) -> JSON:
    result = turn.result
    waited = mapping(result.get("end_of_turn"))
    predicted = mappings(waited.get("predictions"))
    return {
        **shown("input", result.get("transcript")),
        "prefactor.turn": turn.payload.get("turn_index"),
        "prefactor.modality": turn.payload.get("modality"),
        "prefactor.language": result.get("language"),
        "prefactor.confidence": result.get("confidence"),
        "prefactor.committed": result.get("is_final"),
        "prefactor.interim_transcripts": result.get("interim_revisions"),
        "prefactor.end_of_turn.detector": waited.get("detector"),
        "prefactor.end_of_turn.probability": predicted[-1].get("probability")
        if predicted
        else None,
        "prefactor.end_of_turn_delay": seconds(result.get("end_of_turn_delay_ms")),
        "prefactor.transcription_delay": seconds(result.get("transcription_delay_ms")),
    }


def llm(call: Reading) -> JSON:
    result, inputs = call.result, mapping(call.payload.get("inputs"))
    asked = genai.input_messages(mappings(inputs.get("messages")))
    finish = genai.FINISH_REASONS.get(text(result.get("finish_reason")))
    calls = mappings(result.get("tool_calls"))
    said = words(result.get("text"))
    answer = genai.output_message(said, calls, finish or _unfinished(call))
    answers = [answer] if answer else []
    first = result.get("time_to_first_token_ms")
    return {
        **_model_call("chat", call, first),
        "gen_ai.response.finish_reasons": [finish] if finish else None,
        "gen_ai.response.id": result.get("request_id") or call.payload.get("request_id"),
        **_messages(asked, answers),
        **shown("input", genai.chat(asked) if asked else None),
        # Without an output, Phoenix would show the response's id as one.
        **shown("output", genai.chat(answers)[0] if calls else said),
        "prefactor.messages": inputs.get("messages_total"),
        "prefactor.tools": as_list(inputs.get("tools")),
    }


def realtime(reply: Reading) -> JSON:
    result, spoken = reply.result, words(reply.turn.get("spoken_text"))
    question = words(reply.question.get("transcript")) or None
    used = mapping(result.get("usage"))
    first = number(used.get("ttft"))
    asked = [genai.user_message(question)] if question else []
    answer = genai.output_message(spoken, [], _unfinished(reply))
    return {
        **_model_call("generate_content", reply, None if first is None else first * 1000),
        "gen_ai.output.type": "speech",
        "gen_ai.response.id": result.get("request_id"),
        **_messages(asked, [answer] if answer else []),
        **shown("input", question),
        **shown("output", spoken),
        "prefactor.audio": result.get("audio_seconds"),
        "prefactor.leading_silence": seconds(result.get("leading_silence_ms")),
        "prefactor.cancelled": used.get("cancelled"),
    }


def tool(call: Reading) -> JSON:
    payload, result = call.payload, call.result
    outputs = mapping(result.get("outputs"))
    # What the body returned; where the model got something else in its place, that.
    output = result.get("model_output", outputs.get("output"))
    if output is None and (error := mapping(result.get("error"))):
        output = error.get("message")
    provided = payload.get("run_by") == "provider"
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": payload.get("tool_name"),
        "gen_ai.tool.type": "extension" if provided else "function",
        "gen_ai.tool.call.id": payload.get("call_id"),
        "gen_ai.tool.call.arguments": _as_text(payload.get("inputs")),
        "gen_ai.tool.call.result": _as_text(output),
        **shown("input", payload.get("inputs")),
        **shown("output", output),
        "prefactor.turn": payload.get("turn_index"),
        "prefactor.tool.outcome": result.get("outcome"),
        "prefactor.tool.is_error": result.get("is_error"),
        "prefactor.tool.duration": seconds(result.get("duration_ms")),
    }


def stt(utterance: Reading) -> JSON:
    result = utterance.result
    return {
        **_voice_model(utterance),
        **shown("output", result.get("transcript")),
        "prefactor.audio": result.get("audio_seconds"),
        "prefactor.interim_transcripts": result.get("interim_revisions"),
        "prefactor.finalization_delay": seconds(result.get("finalization_delay_ms")),
    }


def tts(call: Reading) -> JSON:
    result = call.result
    return {
        **_voice_model(call),
        **shown("input", result.get("text")),
        "prefactor.characters": result.get("characters"),
        "prefactor.audio": result.get("audio_seconds"),
        "prefactor.time_to_first_byte": seconds(result.get("time_to_first_byte_ms")),
        "prefactor.real_time_factor": result.get("real_time_factor"),
        "prefactor.leading_silence": seconds(result.get("leading_silence_ms")),
        "prefactor.longest_gap": seconds(result.get("longest_gap_ms")),
    }


def transcription(call: Reading) -> JSON:
    return {
        **shown("output", call.result.get("text")),
        "prefactor.turn": call.payload.get("turn_index"),
        "prefactor.characters": call.result.get("characters"),
    }


def handoff(change: Reading) -> JSON:
    payload = change.payload
    return {
        "prefactor.handoff.from": payload.get("from"),
        "prefactor.handoff.to": payload.get("to"),
        "prefactor.handoff.cause": payload.get("cause"),
        "gen_ai.tool.name": payload.get("tool_name"),
        "gen_ai.tool.call.id": payload.get("call_id"),
    }


def error(failure: Reading) -> JSON:
    payload = failure.payload
    return {
        **shown("output", payload.get("message")),
        "prefactor.error.source": payload.get("source"),
        "prefactor.error.recoverable": payload.get("recoverable"),
        **_model_names(failure),
    }


def state(change: Reading) -> JSON:
    payload = change.payload
    return {
        "prefactor.state.actor": payload.get("actor"),
        "prefactor.state.from": payload.get("old_state"),
        "prefactor.state.to": payload.get("new_state"),
    }


def rpc(call: Reading) -> JSON:
    """OpenTelemetry's names for remote procedure calls where there are any."""
    payload, result = call.payload, call.result
    return {
        "rpc.system": "livekit",
        "rpc.method": payload.get("method"),
        "prefactor.rpc.direction": payload.get("direction"),
        "prefactor.rpc.payload_bytes": payload.get("payload_bytes"),
        "prefactor.rpc.response_bytes": result.get("response_bytes"),
        "prefactor.rpc.error_code": result.get("error_code"),
        **shown("input", payload.get("payload")),
        **shown("output", result.get("response")),
    }


def _model_call(operation: str, call: Reading, first_ms: Any) -> JSON:
    """What a generation says, whichever kind of model made it."""
    first = seconds(first_ms)
    begun = None
    if first is not None:
        at_us = call.row.started_us + round(first * 1e6)
        begun = f'"{unix_us_to_rfc3339(at_us)}"'  # Langfuse reads JSON
    tokens: JSON = {}
    if call.usage:
        counted = mapping(call.result.get("token_usage"))
        tokens = genai.usage(mapping(call.result.get("usage")), counted)
    payload = call.payload
    name = provider_name(text(payload.get("provider")), text(payload.get("label")))
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": name,
        "gen_ai.request.model": payload.get("model_name"),
        "gen_ai.response.time_to_first_chunk": first,
        "langfuse.observation.completion_start_time": begun,
        "llm.model_name": payload.get("model_name"),
        **tokens,
        **request_cost(call),
        "prefactor.turn": payload.get("turn_index"),
    }


def _voice_model(call: Reading) -> JSON:
    """The model of an STT or a TTS; with ``gen_ai.request.model`` Langfuse would take the span for
    a generation."""
    return {**_model_names(call), "prefactor.turn": call.payload.get("turn_index")}


def _model_names(call: Reading) -> JSON:
    payload = call.payload
    name = provider_name(text(payload.get("provider")), text(payload.get("label")))
    return {"prefactor.model": payload.get("model_name"), "prefactor.provider": name}


def _messages(asked: list[JSON], answers: list[JSON]) -> JSON:
    return {
        "gen_ai.input.messages": as_text(asked) if asked else None,
        "gen_ai.output.messages": as_text(answers) if answers else None,
    }


def _unfinished(call: Reading) -> str:
    """Why a model stopped that gave no reason."""
    return {"failed": "error", "cancelled": "cancelled"}.get(call.row.status, "stop")


def _stages(prefix: str, silence: JSON) -> JSON:
    """Seconds of each kind of stage. A turn with tools has several of a kind: they are added."""
    spent: dict[str, float] = {}
    for stage in mappings(silence.get("stages")):
        if (ms := number(stage.get("ms"))) is not None:
            kind = stages.base(text(stage.get("name")))[0]
            spent[kind] = spent.get(kind, 0.0) + ms
    return without_none({f"{prefix}.{kind}": seconds(ms) for kind, ms in spent.items()})


def _unless_described(value: Any) -> str | None:
    """A text, but none that was replaced by its size: backends group by it."""
    found = text(value)
    described = found == REDACTED or SIZE_OF_TEXT.fullmatch(found)
    return None if not found or described else found


def _as_text(value: Any) -> str | None:
    return None if value is None else as_text(value)


def _named(what: str, name: str | None) -> str:
    return f"{what} {name}" if name else what
