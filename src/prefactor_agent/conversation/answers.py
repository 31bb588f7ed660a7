"""Which speech belongs to which question.

LiveKit's own word comes first: the message that a reply is generated for, the turn that was open
when it generated ahead, the hook that the program spoke in. A speech that another one's tool, task
or handoff created belongs to the question of that one, as long as nothing newer was asked. Equal
words never decide anything."""

from __future__ import annotations

from .timeline import Question, Speech, Timeline

_CHAIN = 8
"""Speeches, each created by the one before, through which a question is looked for at most."""


def question_of(timeline: Timeline, speech: Speech, at: int | None = None) -> Question | None:
    """The question that a speech comes out of; ``None``: it answers nothing.

    Args:
        at: The moment that is asked about: a speech that goes on after a task belongs to what the
            user said last in the task. Default: when it was created.
    """
    return _question_of(timeline, speech, speech.created if at is None else at, _CHAIN)


def _question_of(timeline: Timeline, speech: Speech, at: int, depth: int) -> Question | None:
    if depth == 0:
        return None
    part = speech.part_at(at)
    cause = timeline.speech(part.cause)
    if part is not speech.parts[0]:
        return _question_of(timeline, cause, part.since, depth - 1) if cause is not None else None
    if speech.question is not None:
        return timeline.question(speech.question)
    latest = timeline.question(speech.latest)
    if cause is not None:
        found = _question_of(timeline, cause, speech.created, depth - 1)
        if found is None or found.id != speech.latest:
            return None
        # A context remembers the speech long after it: whoever made the agent speak keeps it.
        goes_on = cause.ended is None or cause.ended > speech.created
        waited = goes_on or not _heard_since(timeline, found, speech.created)
        return found if waited else None
    if latest is None or not speech.asks_model:
        return None
    if latest.side.committed is None or latest.side.committed > speech.created:
        return None  # the model does not know the question yet
    # The program has the model answer later: from a button, a timer, a task of its own.
    return None if _heard_since(timeline, latest, speech.created) else latest


def _heard_since(timeline: Timeline, question: Question, until: int) -> bool:
    """Whether the agent was heard between the end of a question and a moment."""
    end = question.side.end()
    if end is None:
        return True
    return any(
        end[0] <= moment < until
        for speech in timeline.speeches
        if speech.heard
        for moment in speech.sounds
    )


def answered_question(timeline: Timeline, speech: Speech) -> Question | None:
    """The question whose turn a speech is shown in: the one that it comes out of, unless that was
    asked outside of the dialogue that the speech is part of (an ``AgentTask`` in a tool), and
    LiveKit did not make it for that question."""
    found = question_of(timeline, speech)
    if found is None or (found.inside != speech.inside and speech.question != found.id):
        return None
    return found


def sounded(timeline: Timeline, question: Question) -> Question:
    """The question that the sound of this one's words was part of: words that an STT sends late
    are a turn of their own for LiveKit."""
    if not question.side.soundless:
        return question
    before = (one for one in reversed(timeline.questions) if one.began < question.began)
    return next((one for one in before if not one.side.soundless and one.has_words), question)
