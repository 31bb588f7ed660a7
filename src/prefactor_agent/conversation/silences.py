"""The silences of a call: where each begins, what ended it, and what it was spent on.

A silence begins with the end of a question and lasts until the agent is heard, whoever asked for
that sound: an answer, words that a tool, a hook or a timer says before it (a filler), anything.
What was never heard ends none. A user who speaks again ends the wait without an answer: it is no
silence then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from . import stages
from .answers import question_of, sounded
from .measure import Latency, measure, so_far
from .sides import AgentSide, UserSide
from .timeline import Part, Question, Speech, Timeline

_CHAIN = 8


class EndedSilence(NamedTuple):
    """A silence, and the part of a speech whose sound ended it."""

    question: Question
    part: Part
    tied: bool
    """The speech belongs to the question: it is its answer, or comes out of it."""


class LaterAnswer(NamedTuple):
    """An answer that was not the first sound after its question."""

    first_sound_by: str
    """The speech that was."""
    wait_us: int
    """From the end of the question to the first sound of the answer, in microseconds."""


def silence_ended_by(timeline: Timeline, speech: Speech) -> EndedSilence | None:
    """The first silence that a speech ended; ``None``: nobody waited for its sound, or it has
    none."""
    return next(silences_ended_by(timeline, speech), None)


def silences_ended_by(timeline: Timeline, speech: Speech) -> Iterator[EndedSilence]:
    """The silences that a speech ended: more than one if it went on after the next question."""
    for sound, part in speech.stretches:
        found = _silence_before(timeline, speech, part, sound)
        if found is not None:
            yield found


def _silence_before(
    timeline: Timeline, speech: Speech, part: Part, sound: int
) -> EndedSilence | None:
    question = _latest_question(timeline, speech, sound)
    if question is None or (end := question.side.end()) is None:
        return None
    own = question_of(timeline, speech, max(part.since, speech.created))
    tied = own is not None and sounded(timeline, own).id == question.id
    if not question.side.is_over() or (not tied and end[0] > sound):
        return None  # the user still spoke
    if not tied and question.declined:
        return None
    if _heard_between(timeline, end[0], sound):
        return None
    if tied and own is not None and own.id != question.id:
        question = _with_late_words(question, own)
    return EndedSilence(question, part, tied)


def _latest_question(timeline: Timeline, speech: Speech, moment: int) -> Question | None:
    """What the user said last, aloud or in text, before a sound of ``speech``."""
    asked = [
        one
        for one in timeline.questions
        if (one.began < moment or (one.side.typed and one.began <= moment))
        and (one.has_words or one.side.committed is not None)
        and not one.side.soundless
    ]
    return _as_heard(asked[-1], speech, moment) if asked else None


def _as_heard(question: Question, speech: Speech, sound: int) -> Question:
    """A question as it was known when ``speech`` was first heard, if the user went on after that in
    the same turn: what was said before is what came before the sound."""
    then, side = speech.during, question.side
    if then is None or then.id != question.id:
        return question
    end = side.end()
    return question if side.is_over() and end is not None and end[0] <= sound else then


def _with_late_words(question: Question, late: Question) -> Question:
    """A question that was taken again, with words that came late."""
    side = replace(
        question.side,
        final_transcript=late.side.final_transcript,
        end_of_turn=late.side.end_of_turn,
        committed=late.side.committed,
        hook_done=late.side.hook_done,
    )
    return replace(question, side=side)


def _heard_between(timeline: Timeline, begin: int, end: int) -> bool:
    """Whether the agent began to be heard in between."""
    return any(begin <= moment < end for speech in timeline.speeches for moment in speech.sounds)


def latency_of(timeline: Timeline, speech: Speech) -> Latency | None:
    """The silence that a speech ended, cut into stages."""
    found = silence_ended_by(timeline, speech)
    if found is None:
        return None
    question, part, tied = found
    agent = _chained(timeline, speech, part, question, _CHAIN)
    agent = replace(agent, previous_ended=_queued_until(timeline, speech, agent))
    heard = (agent.sound() or (speech.created,))[0]
    user = _held(timeline, question) if tied else question.side.until(speech.created, heard)
    return measure(
        user,
        agent,
        begun=question.side.end(),
        filler=_is_filler(timeline, speech, found, agent),
    )


def waiting_so_far(
    timeline: Timeline, question: Question, speech: Speech | None, now: int
) -> Latency | None:
    """The silence after a question while it lasts.

    Args:
        speech: The answer that is being made, if there is one.
        now: In nanoseconds.
    """
    agent = None
    if speech is not None:
        agent = _chained(timeline, speech, speech.part_at(now), question, _CHAIN)
    return so_far(_held(timeline, question), agent, now)


def first_sound_after(timeline: Timeline, question: Question) -> Speech | None:
    """The speech that ended the silence after a question, if that is over. What ended one in a
    pause of the question is not it."""
    end = question.side.end()
    for speech in timeline.speeches:
        if all(sound < question.began for sound, _ in speech.stretches):
            continue  # most of those that are remembered were over by then
        for found in silences_ended_by(timeline, speech):
            if found.question.id == question.id and found.question.side.end() == end:
                return speech
    return None


def later_answer(timeline: Timeline, speech: Speech) -> LaterAnswer | None:
    """How long the user waited for an answer before which other words had come."""
    question, sound = question_of(timeline, speech), speech.side.sound()
    if question is None or sound is None or not speech.heard:
        return None
    latest = _latest_question(timeline, speech, sound[0])
    end = question.side.end()
    if end is None or latest is None:
        return None
    if latest.id == question.id:
        first = first_sound_after(timeline, question)
    elif latest.inside != question.inside:
        return None  # they talked in a task, which is no waiting
    else:
        # The user went on to something else, and was answered, while this one was still waited for.
        first = _first_heard(timeline, end[0], sound[0])
        if first is not None and question_of(timeline, first) is None:
            return None
    if first is None or first.id == speech.id:
        return None
    return LaterAnswer(first.id, max(0, sound[0] // 1000 - end[0] // 1000))


def _first_heard(timeline: Timeline, begin: int, end: int) -> Speech | None:
    """The speech that was heard first in between."""
    heard = [
        (moment, speech)
        for speech in timeline.speeches
        if speech.heard
        for moment in speech.sounds
        if begin <= moment < end
    ]
    return min(heard, key=lambda one: one[0], default=(0, None))[1]


def _is_filler(timeline: Timeline, speech: Speech, found: EndedSilence, agent: AgentSide) -> bool:
    """Whether words ended the silence that came before the answer itself."""
    if agent.enter_began is not None or agent.awaited is not None:
        return False
    if not found.tied or (agent.cause is not None and not speech.tool_reply):
        return True
    return any(
        other.id != speech.id and other.question == found.question.id and other.asks_model
        for other in timeline.speeches
        if not speech.asks_model
    )


def _chained(
    timeline: Timeline, speech: Speech, part: Part, question: Question, depth: int
) -> AgentSide:
    """A part of a speech with the speeches that led to it, as far back as the question."""
    own_word = speech.question is not None and not part.since and not speech.tool_reply
    by_program = speech.by_program and not part.since
    cause = timeline.speech(part.cause) if not own_word else None
    at = part.since or speech.created
    led_to = question_of(timeline, cause, at) if cause is not None and depth > 0 else None
    if cause is None or led_to is None or sounded(timeline, led_to).id != question.id:
        return replace(
            part.side,
            by_program=by_program,
            cause=None,
            left=None,
            enter_began=None,
            enter_ended=None,
        )
    chained = _chained(timeline, cause, cause.part_at(at), question, depth - 1)
    return replace(part.side, by_program=by_program, cause=chained)


def _queued_until(timeline: Timeline, speech: Speech, agent: AgentSide) -> int | None:
    """When the speech before was over. LiveKit lets one speak, and run its tools, after the other
    in the order in which they were created, whether or not they are heard."""
    sound, voice = agent.sound(), agent.spoken_by()
    led_to = {part.cause for part in speech.parts}
    text = voice.text if voice is not None else None
    ends = [
        other.ended
        for other in timeline.speeches
        if other.created < agent.created and other.ended is not None and sound is not None
        if agent.created < other.ended <= sound[0]
        # What a tool says is heard while the speech that the tool is of goes on.
        if other.id not in led_to or (text is not None and other.ended <= text)
    ]
    waits = not speech.asks_model and any(
        other.created < agent.created and other.id not in led_to
        for other in timeline.speeches
        if other.ended is None or other.ended > agent.created
    )
    if waits and text is not None:
        ends.append(text)  # words that are there at once are given to the voice in their turn
    return max([*ends, agent.previous_ended or 0]) or None


def _held(timeline: Timeline, question: Question) -> UserSide:
    """The user's side, with what LiveKit waited for after the turn had ended: it takes a turn once
    the speech before it, and that one's tools, are over (voice/agent_activity.py,
    ``_user_turn_completed_impl``)."""
    side = question.side
    ended, taken = side.end_of_turn, side.committed
    if ended is None or taken is None or taken <= ended:
        return side
    for speech in timeline.speeches:
        over = speech.ended
        if speech.created >= ended or speech.question == question.id:
            continue
        if over is None or not ended < over <= taken:
            continue
        tools = [
            tool
            for tool in speech.tools
            if tool.began < taken and (tool.ended is None or tool.ended > ended)
        ]
        held_by = stages.of_tool(tools[-1].name) if tools else stages.PREVIOUS_SPEECH
        return replace(side, held_by=held_by)
    return side
