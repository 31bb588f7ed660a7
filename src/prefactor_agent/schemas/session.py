"""The type of the session's own span, which holds what is known of a call as a whole: what it is,
and which of its fields are no content (see types.py)."""

from __future__ import annotations

from . import parts, risk, templates
from .content import KEPT, each, fields, measures
from .entry import SpanTypeSchema

SESSION = SpanTypeSchema(
    name="livekit:session",
    title="LiveKit Session",
    description="One call: from the start of the AgentSession to its end.",
    template=templates.SESSION,
    params=parts.keys(
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
    result=parts.keys(
        **parts.ENDED,
        close_reason="why",
        usage="per model",
        conversation="counts",
        unanswered="questions that got no answer: how many, the longest wait",
        pickup="from the caller's arrival to the agent's first sound, in stages",
        hung_up_by="caller, agent, server or network",
        sip="the telephone call: trunk, ids, status, numbers",
        outcome="success or fail, as the user's code says",
        evaluations="what judges said",
    ),
    kept=fields(
        "name type agent_name agent_class agent_version session_class worker_id tools"
        " started_at closed_at close_reason session_number",
        models=each(fields("label model_name provider")),
        room=fields("name sid"),
        job=fields("id agent_name dispatch_id"),
        participant=parts.KEPT_PERSON,
        budgets=measures(),
        rates=each(measures()),
        quality=each(measures()),
        instance=fields("id supplied"),
        otel=parts.KEPT_LINK,
        metadata=fields("agent_id", tool_span_types=each(KEPT)),
    ),
    kept_result=fields(
        "status close_reason termination_reason shutdown_reason room_disconnect_reason"
        " finished_at outcome tracer_failures dtmf_total moments_total session_number"
        " sessions_together reconnects tracks_total rpc_total first_frame_delay_ms hung_up_by",
        usage=fields(model_usage=each(measures("type model provider"))),
        conversation=measures("role"),
        latency=measures("slowest_stage"),
        unanswered=fields("turns longest_ms user_turn_ids"),
        pickup=measures("name from to"),
        moments=each(measures("kind verdict")),
        hooks=each(fields("name agent status started_us duration_ms")),
        participants=each(parts.KEPT_PERSON),
        dtmf=each(fields("at_us direction failed")),
        connection=each(fields("at_us state reason")),
        tracks=each(parts.KEPT_TRACK),
        sip=parts.KEPT_SIP,
        sound=fields(
            user=measures(),
            agent=measures(),
            echo=measures(),
            quality=each(fields("at_us voice quality")),
        ),
        recording=measures("file error"),
        answering_machine=each(fields("at_us category reason speech_ms delay_ms")),
        keyterms=each(measures()),
        ivr_detection=measures(),
        avatars=each(measures("provider")),
        evaluations=each(fields("name")),
        **{**parts.KEPT_END, "metadata": fields("close_reason")},
    ),
    risk=risk.CALL,
)
