"""The questions that nobody answered.

A question is a turn of the user's with words that was taken to be answered. It is unanswered if
nothing of the agent was heard between its end and the user's next words, or the end of the call,
and nothing that belongs to it later. What the program did not want answered is none, nor what the
user did not wait for: they spoke while the reply was on its way, or left within
:data:`PATIENCE_NS`. ``docs/latency.md`` has the rules in words."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .answers import question_of, sounded
from .timeline import Speech, Timeline

PATIENCE_NS = 5_000_000_000
"""A user who is gone so soon after their last word did not wait for an answer."""
_CUT_IN_NS = 1_000_000_000
"""A reply that the user broke off was on its way when they spoke, though the turn that they spoke
in may begin that much later."""


class Asked(NamedTuple):
    """A turn of the user's, when nothing changes in it any more."""

    id: str
    began: int
    ended: int | None
    """The user's last sound, or when the text came; ``None``: its sound is another turn's."""
    taken: int | None
    """When LiveKit, or a realtime model, took it as a turn; ``None``: never."""
    hook_done: int | None
    words: bool
    """Something was understood of it. (A realtime model need not say what.)"""
    declined: bool = False
    """The program wanted no answer to it."""


class Replied(NamedTuple):
    """A speech, as far as it may answer a question."""

    questions: tuple[str, ...]
    """Those that it belongs to: one, or after an ``AgentTask`` the last one in that, too."""
    created: int
    ended: int | None
    """``None``: it goes on, or nobody saw its end."""
    sounds: tuple[int, ...]
    """When each stretch of it was first heard."""
    declined: bool = False
    """The tools that it called last wanted no words after them."""
    cut_off: bool = False
    """The user broke it off."""
    worked: bool = False
    """It called a tool."""


class End(NamedTuple):
    """The end of a call, as its session saw it."""

    at: int
    failed: bool = False
    """The session closed because of an error."""
    by_program: bool = False
    """The program closed it, and the user had not left."""


class Unanswered(NamedTuple):
    """A question that nobody answered, and how long the user waited in vain: until they spoke
    again, or the call ended."""

    id: str
    waited_us: int


def replied(timeline: Timeline, speech: Speech) -> Replied:
    """What a speech may have answered."""
    found = (question_of(timeline, speech, part.since or speech.created) for part in speech.parts)
    return Replied(
        questions=tuple(sounded(timeline, one).id for one in found if one is not None),
        created=speech.created,
        ended=speech.ended,
        sounds=tuple(speech.sounds),
        declined=speech.declined,
        cut_off=speech.cut_off,
        worked=bool(speech.tools),
    )


def unanswered(
    asked: Sequence[Asked],
    replies: Sequence[Replied],
    end: End | None,
    machine_until: int | None = None,
) -> list[Unanswered]:
    """The questions of a whole call that nobody answered, in the order in which they were asked.

    Args:
        asked: All turns of the user's with words, also those that were not taken.
        replies: All speeches.
        end: ``None``: the call goes on, or its process was killed. Then only what the user said
            something after is judged, and only by a reply that is over.
        machine_until: An answering machine spoke in the place of the user until then.
    """
    said = sorted((one for one in asked if one.words and one.ended is not None), key=_began)
    own: dict[str, list[Replied]] = defaultdict(list)
    for reply in replies:
        for id_ in reply.questions:
            own[id_].append(reply)
    sounds = sorted(sound for reply in replies for sound in reply.sounds)
    return list(_all(said, own, sounds, end, machine_until or 0))


def _all(
    said: Sequence[Asked],
    own: dict[str, list[Replied]],
    sounds: Sequence[int],
    end: End | None,
    machine_until: int,
) -> Iterator[Unanswered]:
    for index, question in enumerate(said):
        following = said[index + 1] if index + 1 < len(said) else None
        taken, ended = question.taken, question.ended
        if taken is None or ended is None or question.declined or taken <= machine_until:
            continue
        until = following.began if following is not None else end.at if end is not None else None
        replies = own.get(question.id, [])
        if until is None or (end is None and not replies):
            continue
        place = bisect_left(sounds, ended)
        if place < len(sounds) and sounds[place] < until:
            continue
        if any(sound >= question.began for reply in replies for sound in reply.sounds):
            continue
        if replies and max(replies, key=_over).declined:
            continue
        if following is not None:
            waited = not _is_coming(question, replies, following.began)
        else:
            waited = end is not None and _waited_to(end, ended, replies)
        if waited:
            yield Unanswered(question.id, max(0, until - ended) // 1000)


def _is_coming(question: Asked, replies: Sequence[Replied], moment: int) -> bool:
    """Whether an answer was on its way at a moment."""
    if any(at is not None and at > moment for at in (question.taken, question.hook_done)):
        return True
    return any(
        reply.ended is None or reply.ended > moment - (_CUT_IN_NS if reply.cut_off else 0)
        for reply in replies
    )


def _waited_to(end: End, asked_until: int, replies: Sequence[Replied]) -> bool:
    """Whether the user waited in vain to the end of the call."""
    if end.failed:
        return True
    if end.at - asked_until < PATIENCE_NS:
        return False
    # A tool that connects the caller to somebody else, or hangs up, is an answer.
    at_work = (
        reply.worked and (reply.ended is None or end.at - reply.ended < PATIENCE_NS)
        for reply in replies
    )
    return not (end.by_program and any(at_work))


def _began(question: Asked) -> int:
    return question.began


def _over(reply: Replied) -> tuple[bool, int]:
    return reply.ended is None, reply.ended or reply.created
