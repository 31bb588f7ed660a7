"""The facts of a stored call in the form that :mod:`prefactor_agent.conversation` reads: what the
spans of its turns, models, tools and voices have of moments.

For speeches whose latency could not be recorded, because their process was killed or their version
measured nothing. Moments are nanoseconds since the Unix epoch."""

from __future__ import annotations

from ...conversation import (
    AgentSide,
    ModelCall,
    Part,
    Question,
    Segment,
    Speech,
    Timeline,
    ToolRun,
    UserSide,
    VoiceCall,
)
from ...core.values import as_int, as_list, mappings, text
from ...stored.span import StoredSpan
from .calltree import CallTree
from .moments import first, first_token, user_moment, words_began
from .sounds import heard_answers, late_frames, leading_silence_us
from .turns import Node, Turn, kind, typed

NEAR = 8
"""Turns before and after one, within which its silence is looked for: a longer search would make
the silences of a long call take the square of its turns."""


def timeline_near(call: CallTree, turn: Turn) -> Timeline:
    """The turns of a call around one of them."""
    at = turn.number - 1
    near = call.turns[max(0, at - NEAR) : at + NEAR + 1]
    questions = [question_of(call, one, one.user) for one in near if one.user is not None]
    speeches = [speech_of(call, one, answer) for one in near for answer in one.answers]
    return Timeline(
        sorted(questions, key=lambda question: question.began),
        sorted(speeches, key=lambda speech: speech.created),
    )


def question_of(call: CallTree, turn: Turn, user: Node) -> Question:
    """The facts of a turn of the caller's."""
    moments = {
        name: _ns(user_moment(call, turn, name))
        for name in (
            "speech_ended",
            "vad_estimate",
            "vad_ended",
            "final_transcript",
            "committed",
            "hook_done",
        )
    }
    side = UserSide(
        heard_until=moments["speech_ended"],
        vad_estimate=moments["vad_estimate"],
        vad_ended=moments["vad_ended"],
        final_transcript=moments["final_transcript"],
        # An ended turn was taken, whether or not its version wrote down when.
        committed=moments["committed"] or _ns(user.span.finished_us),
        hook_done=moments["hook_done"],
        typed=typed(user),
    )
    return Question(user.span.id, user.span.started_us * 1000, side)


def speech_of(call: CallTree, turn: Turn, answer: Node) -> Speech:
    """The facts of one of a turn's answers."""
    side, heard = _side(call, answer), answer in heard_answers(turn)
    return Speech(
        id=answer.span.id,
        created=side.created,
        parts=(Part(side),),
        question=turn.user.span.id if turn.user is not None else None,
        heard=heard and side.sound() is not None,
        ended=_ns(answer.span.finished_us),
        tools=tuple(side.tools),
        segments=tuple(_segments(call, answer)),
    )


def _side(call: CallTree, answer: Node) -> AgentSide:
    segments = _segments(call, answer)
    started = _ns(call.moment(answer.span, "playback_started"))
    if started is None and segments:
        started = min(segment.started for segment in segments)
    return AgentSide(
        created=_ns(call.moment(answer.span, "created")) or answer.span.started_us * 1000,
        models=[_model_call(span) for span in _by_time(answer, "llm")],
        tools=[
            ToolRun(span.name, span.started_us * 1000, _ns(span.finished_us))
            for span in _by_time(answer, "tool")
        ],
        voices=[
            _voice_call(span, leading_silence_us(answer))
            for span in _by_time(answer, "tts", "realtime")
        ]
        # Audio that was made and of which nobody knows whether it was played is no sound.
        if started is not None
        else (),
        first_text=_ns(words_began(answer)),
        playback_started=started,
    )


def _model_call(span: StoredSpan) -> ModelCall:
    calls = mappings(as_list(span.result.get("tool_calls")))
    return ModelCall(
        called=span.started_us * 1000,
        first_token=_ns(first_token(span)),
        ended=_ns(span.finished_us),
        tools=tuple(dict.fromkeys(text(call.get("name")) for call in calls)),
    )


def _voice_call(span: StoredSpan, quiet_us: int) -> VoiceCall:
    frame = _ns(first(span, "audio"))
    return VoiceCall(
        called=span.started_us * 1000,
        text=_ns(first(span, "text")),
        first_frame=frame,
        sound_at=quiet_us * 1000,
        late=[(place * 1000, began * 1000) for place, began in late_frames(span)],
        llm=kind(span) == "realtime",
    )


def _segments(call: CallTree, answer: Node) -> list[Segment]:
    found = []
    for segment in mappings(answer.span.result.get("segments")):
        started, finished = as_int(segment.get("started_us")), as_int(segment.get("finished_us"))
        if started is not None:
            zero = call.started_us
            ended = (zero + finished) * 1000 if finished is not None else None
            found.append(Segment((zero + started) * 1000, ended))
    return found


def _by_time(answer: Node, *kinds: str) -> list[StoredSpan]:
    return sorted(answer.spans(*kinds), key=lambda span: span.started_us)


def _ns(us: int | None) -> int | None:
    return us * 1000 if us is not None else None
