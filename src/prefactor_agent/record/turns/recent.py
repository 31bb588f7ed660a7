"""The last turns of a session, both sides, of which the next one can be told what it belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from ...conversation import Asked, Question, Timeline
from ...core.clock import now_ns
from ...core.json import JSON
from .facts import TurnFacts, facts_of
from .latency_inputs import EndedSpeech, asked_of, question_of, timeline_of
from .turn import AssistantTurn, UserTurn

QUESTIONS_KEPT = 8
SPEECHES_KEPT = 16
_CHANGING = 3
"""The newest turns of the user's of which something may still come to be known."""


class RecentTurns:
    """Remembers the last turns of one session. Used on the event loop.

    Args:
        catch_up: Called before facts are taken: it brings the user's turns up to date.
    """

    def __init__(self, catch_up: Callable[[], object]) -> None:
        self._catch_up = catch_up
        self._users: deque[UserTurn] = deque(maxlen=QUESTIONS_KEPT)
        self._speeches: deque[AssistantTurn] = deque(maxlen=SPEECHES_KEPT)
        self._ended: dict[str, EndedSpeech] = {}
        self._settled: dict[str, Question] = {}
        self._earlier: list[Asked] = []
        """The questions of the whole session that nothing changes any more."""

    def add_question(self, turn: UserTurn) -> None:
        """A turn of the user's begins."""
        if len(self._users) == QUESTIONS_KEPT:
            self._settled.pop(self._users[0].span.id, None)
            self._keep(self._users[0])
        self._users.append(turn)

    def drop_question(self, turn: UserTurn) -> None:
        """A turn of the user's was none: nobody waits for an answer to it."""
        if turn in self._users:
            self._users.remove(turn)
            self._settled.pop(turn.span.id, None)
            self._keep(turn)

    def _keep(self, turn: UserTurn) -> None:
        if turn.asks:
            self._earlier.append(asked_of(turn))

    def asked(self) -> list[Asked]:
        """What the user said in the whole session, as far as it is known now."""
        self._catch_up()
        return [*self._earlier, *(asked_of(one) for one in self._users if one.asks)]

    def add_speech(self, turn: AssistantTurn) -> None:
        """LiveKit created a speech."""
        if len(self._speeches) == SPEECHES_KEPT:
            self._ended.pop(self._speeches[0].span.id, None)
        self._speeches.append(turn)

    def end_speech(self, turn: AssistantTurn) -> TurnFacts:
        """A speech is over: from here on its facts stay as they are."""
        self._catch_up()
        facts = facts_of(turn)
        self._ended[turn.span.id] = EndedSpeech(facts)
        return facts

    def user_turn(self, id_: str) -> UserTurn | None:
        """The turn of the user's whose span has this id."""
        return next((one for one in self._users if one.span.id == id_), None)

    def latest_question(self) -> UserTurn | None:
        """The newest turn of the user's that is more than a sound."""
        asked = (one for one in reversed(self._users) if _has_words(one))
        return next(asked, None)

    def first_taken(self) -> UserTurn | None:
        """The oldest turn of the user's that LiveKit took, typed ones among them."""
        return next((one for one in self._users if "committed" in one.moments), None)

    def spoke_since(self, moment: int) -> bool:
        """Whether the user said something since a moment that LiveKit has not taken yet."""
        return any(
            one.span.open and one.span.started_ns > moment and _has_words(one)
            for one in self._users
        )

    def timeline(self) -> Timeline:
        """The facts as they are now."""
        return timeline_of(*self._facts(), final=False)

    def later_timeline(self) -> Callable[[], Timeline]:
        """The facts as they are now, to be brought into their form when the result is called, off
        the event loop."""
        return partial(timeline_of, *self._facts(), final=True)

    def _facts(self) -> tuple[list[Question], list[EndedSpeech | TurnFacts]]:
        self._catch_up()
        ended, settled = self._ended, self._settled
        questions = []
        for age, user in enumerate(reversed(self._users)):
            question = settled.get(user.span.id)
            if question is None:
                question = question_of(user)
                if age >= _CHANGING:
                    settled[user.span.id] = question
            questions.append(question)
        return questions, [ended.get(one.span.id) or facts_of(one) for one in self._speeches]

    def networks(self) -> dict[str, JSON]:
        """What the network did to the sound of the user's turns, by their ids."""
        return {user.span.id: user.network for user in self._users if user.network}

    def clear(self) -> None:
        """Forget all of them: the session is over."""
        self._users.clear()
        self._speeches.clear()
        self._ended.clear()
        self._settled.clear()
        self._earlier.clear()


def _has_words(turn: UserTurn) -> bool:
    return "committed" in turn.moments or turn.has_words(now_ns())
