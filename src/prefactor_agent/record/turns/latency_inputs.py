"""Which speech ends the silence after a user's turn, and what is known of both, in the form that
:mod:`prefactor_agent.conversation` computes with."""

from __future__ import annotations

from typing import Any

from ...conversation import Asked, Latency, ModelCall, Playout, Reply, ToolRun, VoiceCall, starved
from ...conversation import measure as measure_latency
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.span import Span
from ..spans.tree import SpanTree
from .turn import AssistantTurn, Resumed, UserTurn

_CHAIN = 8


def asked_by(turn: AssistantTurn) -> UserTurn | None:
    """The user's turn that a speech comes out of."""
    if turn.resumes is not None:
        return turn.resumes.asked
    speech: AssistantTurn | None = turn
    for _ in range(_CHAIN):
        if speech is None:
            return None
        if (asked := speech.answers or speech.follows) is not None:
            return asked
        speech = speech.caused_by
    return None


def claim_first_sound(turn: AssistantTurn) -> bool:
    """A stretch of the sound (or, without audio, the text) of a speech came out. Returns whether
    somebody waited for it."""
    asked = asked_by(turn)
    if asked is None or asked.answered is not None:
        return False
    asked.answered = turn
    if turn.ends_silence_of is None:
        turn.ends_silence_of = asked
    return True


@guarded("latency")
def latency_of(turn: AssistantTurn) -> Latency | None:
    """The latency of the turn, if it was its sound that ended the silence. Called off the event
    loop."""
    asked = turn.ends_silence_of
    return measure_latency(user_side(asked, turn), agent_side(turn)) if asked is not None else None


def resumed(turn: AssistantTurn, came_back_ns: int, tool: Span) -> None:
    """A task came back to a tool of this speech. Whoever spoke last in the task now waits for what
    the speech says after it, unless the task has said something to that."""
    if turn.last_below is None or turn.last_below.span.parent_id != tool.id:
        return
    asked = asked_by(turn.last_below)
    if asked is not None and asked.answered is None:
        turn.resumes = Resumed(came_back_ns, tool, asked, turn.last_below)


def agent_side(turn: AssistantTurn) -> Reply:
    resumes = turn.resumes
    if resumes is not None and turn.ends_silence_of not in (None, resumes.asked):
        resumes = None  # it was heard before the task, too, which is what its latency is of
    return _reply(turn, resumes, 0)


def _reply(turn: AssistantTurn, resumes: Resumed | None, depth: int) -> Reply:
    """What there was of a speech, all of it or only from where it went on after a task."""
    since = resumes.at if resumes is not None else 0
    segments = [segment for segment in turn.segments if segment.started_ns >= since]
    segment = segments[0] if segments else None
    entered = turn.entered or [None, None]
    position = segment.position_s if segment is not None and segment.interrupted else None
    cause, within = turn.caused_by, turn.caused_within
    if resumes is not None:
        cause, within = resumes.cause, resumes.cause.resumes
    return Reply(
        created=max(since, turn.moments["created"]),
        models=[
            ModelCall(
                called=output.started_ns,
                first_token=output.first,
                ended=output.last_ns,
                tools=tuple(dict.fromkeys(call["name"] for call in output.tool_calls)),
            )
            for output in turn.outputs
            if output.started_ns >= since
        ],
        tools=[
            ToolRun(span.name, span.started_ns, span.finished_ns)
            for span in turn.tool_spans
            if span.started_ns >= since
        ],
        voices=[
            VoiceCall(
                called=one.called_ns,
                text=_text_sent(one.text.first if one.text is not None else None, one.asked_ns),
                first_frame=one.first_frame_ns,
                sound_at=one.voice.sound_begins_ns,
                late=tuple(one.voice.late),
                llm=one.text is None,
            )
            for one in turn.voices
            if one.called_ns >= since
        ],
        first_text=next(
            (
                one.first
                for one in (*turn.texts, *turn.outputs)
                if one.first is not None and one.started_ns >= since
            ),
            None,
        ),
        left=turn.left_ns,
        enter_began=entered[0],
        enter_ended=entered[1],
        awaited=ToolRun(resumes.tool.name, resumes.at, resumes.tool.finished_ns)
        if resumes is not None
        else None,
        previous_ended=turn.previous_ended_ns,
        playback_started=segment.started_ns if segment is not None else None,
        played_ns=int(position * 1e9) if position is not None else None,
        silent=turn.cut_short and segment is None,
        cause=_reply(cause, within, depth + 1) if cause and depth < _CHAIN else None,
    )


def _text_sent(first: int | None, asked: int | None) -> int | None:
    # A voice collects text until it has a sentence: what it waits for is a sentence, not a word.
    if first is None or asked is None:
        return first if asked is None else asked
    return max(first, asked)


def user_side(user: UserTurn, turn: AssistantTurn | None = None) -> Asked:
    """What is known of the user's turn that ``turn`` answers."""
    moments = dict(user.moments)
    tied = turn is not None and (turn.answers or turn.caused_by or turn.resumes)
    if turn is not None and not tied:
        # Nothing ties the speech to what LiveKit did with the user's turn after it was made.
        created = turn.moments["created"]
        moments = {
            name: moment
            for name, moment in moments.items()
            if moment <= created or name == "hook_done"
        }
    return Asked(
        heard_until=moments.get("speech_ended"),
        vad_estimate=moments.get("vad_estimate"),
        vad_ended=moments.get("vad_ended"),
        final_transcript=moments.get("final_transcript"),
        committed=moments.get("committed"),
        hook_done=moments.get("hook_done"),
        typed=user.modality == "text",
    )


@guarded("latency.more")
def more_of(call: SpanTree, turn: AssistantTurn) -> JSON:
    """What else is measured of a turn. Called off the event loop."""
    asked = asked_by(turn)
    answered = asked.answered if asked is not None else None
    reply = agent_side(turn)
    segment = turn.segments[0] if turn.segments else None
    played = int(segment.position_s * 1e9) if segment and segment.position_s else None
    paused = next((moment for moment, state in turn.pauses if state == "paused"), None)
    gaps = [
        {
            "at_us": call.offset_us(gap["at_ns"]),
            "ms": gap["ms"],
            "cause": gap["cause"],
        }
        for gap in starved(reply, played)
        if paused is None or gap["at_ns"] < paused
    ]
    later: JSON = {}
    if asked is not None and answered is not None and answered is not turn and turn.segments:
        # Other words came first: how long the user waited for the answer itself.
        begun, sound = user_side(asked, turn).end(), reply.sound()
        if begun is not None and sound is not None:
            later = {
                "first_sound_by": answered.span.id,
                "answer_ms": max(0, sound[0] // 1000 - begun[0] // 1000) / 1000,
            }
    return without_none({"gaps": gaps or None, **_barge_in(turn, reply), **later})


def _barge_in(turn: AssistantTurn, reply: Reply) -> JSON:
    """How long the agent still spoke after the user had begun to speak over it."""
    over = turn.user_spoke_over_ns
    segment = next((one for one in turn.segments if over is not None and _covers(one, over)), None)
    if over is None or segment is None or segment.finished_ns is None:
        return {}
    ended = segment.finished_ns
    voice = reply.spoken_by()
    if segment.position_s is not None and segment is turn.segments[0] and voice is not None:
        # An output tells only a while after the last sample that it was the last. A position
        # inside the audio is where the sound ended, pauses and gaps aside.
        playout = Playout(segment.started_ns, voice.late)
        ended = min(ended, playout.moment(int(segment.position_s * 1e9)) + _paused(turn, ended))
    stop = max(0, ended - over)
    user = turn.user_spoke_over
    user_ended = user.moments.get("speech_ended", ended) if user is not None else ended
    overlap = max(0, min(ended, user_ended) - over)
    return without_none(
        {
            "barge_in_ms": stop // 1000 / 1000 if segment.interrupted else None,
            "overlap_ms": overlap // 1000 / 1000,
        }
    )


def _covers(segment: Any, moment: int) -> bool:
    ended = segment.finished_ns
    return bool(segment.started_ns <= moment and (ended is None or moment <= ended))


def _paused(turn: AssistantTurn, until: int) -> int:
    """How long the audio stood still before it was played on."""
    total, since = 0, None
    for moment, state in turn.pauses:
        if state == "paused" and since is None:
            since = moment
        elif state == "resumed" and since is not None:
            total += min(moment, until) - min(since, until)
            since = None
    return total
