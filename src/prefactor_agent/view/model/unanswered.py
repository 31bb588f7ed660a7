"""The questions of a call that nobody answered.

What was recorded when the call ended counts. Of a call that goes on, or whose process was killed,
they are worked out of its turns, as far as they can be: by the same rules
(:mod:`...conversation.unanswered`). An older version did not look for them: nothing is known
then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...conversation import Asked, Replied, unanswered
from ...core.values import as_int, as_list, mapping, number
from .calltree import CallTree
from .facts import question_of, speech_of
from .turns import Node, Turn, not_taken, spoken_text, user_text


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The questions of a call that nobody answered."""

    count: int
    longest_ms: float | None
    """How long the caller waited in vain at most; ``None``: there is no such question."""
    ids: frozenset[str]
    """The spans of the caller's turns; of very many the first."""

    def has(self, turn: Turn) -> bool:
        """Whether a turn is one of them."""
        return turn.user is not None and turn.user.span.id in self.ids


def declined(turn: Turn) -> bool:
    """Whether the program wanted no answer to a question, and gave none."""
    if turn.user is None or any(map(spoken_text, turn.answers)):
        return False
    return _said_so(turn.user) or any(map(_said_so, turn.answers[-1:]))


def _said_so(node: Node) -> bool:
    return node.span.result.get("declined") is True


def unanswered_of(call: CallTree) -> Unanswered | None:
    """The questions of a call that nobody answered; ``None``: that is not known of this call."""
    result = call.session.result if call.session is not None else {}
    if recorded := mapping(result.get("unanswered")):
        ids = [id_ for id_ in as_list(recorded.get("user_turn_ids")) if isinstance(id_, str)]
        count, longest = as_int(recorded.get("turns")), number(recorded.get("longest_ms"))
        return Unanswered(count, longest, frozenset(ids)) if count is not None else None
    if call.session is None or not (call.session.status == "active" or result.get("lost_end")):
        return None
    found = unanswered([*_asked(call)], [*_replied(call)], None)
    longest_us = max((one.waited_us for one in found), default=None)
    return Unanswered(
        len(found),
        longest_us / 1000 if longest_us is not None else None,
        frozenset(one.id for one in found),
    )


def _asked(call: CallTree) -> Iterator[Asked]:
    for turn in call.turns:
        if turn.user is None:
            continue
        user = turn.user
        side = question_of(call, turn, user).side
        end = side.end()
        yield Asked(
            user.span.id,
            began=user.span.started_us * 1000,
            ended=end[0] if end is not None else None,
            taken=None if not_taken(user) or user.span.status == "active" else side.committed,
            hook_done=side.hook_done,
            words=bool(user_text(user)),
            declined=_said_so(user),
        )


def _replied(call: CallTree) -> Iterator[Replied]:
    for turn in call.turns:
        asked = (turn.user.span.id,) if turn.user is not None else ()
        for answer in turn.answers:
            speech = speech_of(call, turn, answer)
            yield Replied(
                asked,
                created=speech.created,
                ended=None if answer.span.result.get("lost_end") else speech.ended,
                sounds=tuple(speech.sounds),
                declined=_declined(answer),
                cut_off=answer.span.result.get("interrupted_by") == "user",
                worked=bool(speech.tools),
            )


def _declined(answer: Node) -> bool:
    """Whether the tools of a speech wanted no words after them. An older version wrote only down
    what each tool came to."""
    stopped = (tool.result.get("outcome") == "stop_response" for tool in answer.spans("tool"))
    return _said_so(answer) or any(stopped)
