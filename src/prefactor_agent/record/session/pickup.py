"""The facts of how a call was picked up; what comes of them is worked out in
``conversation/pickup.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import AgentSession

from ... import conversation
from ...conversation import Arrival, Pickup, Setup, Speech
from ...conversation.stages import CALLER, PICKUP
from ...core.clock import from_wall
from ...core.guard import guarded
from ...core.json import JSON
from ..livekit import private as livekit_private
from ..room.arrival import Arrivals
from ..turns.facts import facts_of
from ..turns.latency_inputs import EndedSpeech, speech_of
from ..turns.recent import RecentTurns
from ..turns.state import Scope
from ..turns.turn import AssistantTurn, UserTurn
from .hooks import Hooks
from .job import current_job
from .process import this_process

_NO_SOUND = (CALLER, "text")
"""What the end of a pickup can be based on besides a sound of the agent's."""


class PickupFacts:
    """Notes what the first sound of one session waited for. Used on the event loop.

    Args:
        budgets: Seconds, by what they are for: ``pickup``.
    """

    def __init__(
        self,
        scope: Scope,
        session: AgentSession[Any],
        hooks: Hooks,
        recent: RecentTurns,
        budgets: Mapping[str, float],
    ) -> None:
        self._state, self._spans = scope.state, scope.spans
        self._hooks, self._recent = hooks, recent
        self._budget = budgets.get(PICKUP)
        self._context = current_job()
        # Once: a wall clock may be stepped while the call goes on.
        self._dispatched = tuple(map(_moment, livekit_private.dispatch_times(self._context)))
        self._started = (
            _moment(livekit_private.session_started(session)) or self._spans.root.started_ns
        )
        self._process = this_process.before(self._started)
        self._first: EndedSpeech | AssistantTurn | None = None
        """The first speech that was heard once somebody was there: while it lasts, its turn."""
        self._caller: UserTurn | None = None
        """The first turn of the caller's that was taken."""
        self._arrivals = Arrivals()

    def follow(self, session: AgentSession[Any], came: Callable[[], object]) -> None:
        """Note who comes; ``came`` is called when an arrival is known."""
        self._arrivals.follow(session, self._context, came)
        came()

    def let_go(self) -> None:
        """The session is closed."""
        self._arrivals.let_go()

    @property
    def waiting(self) -> bool:
        """Whether nothing was heard yet, of either side."""
        return self._first is None and self._caller is None

    @guarded("pickup.sound_began")
    def sound_began(self, turn: AssistantTurn) -> None:
        """A stretch of a speech begins to be heard."""
        if self._first is None:
            self._first = turn
            self._caller = self._caller or self._recent.first_taken()

    @guarded("pickup.speech_over")
    def speech_over(self, turn: AssistantTurn) -> None:
        """A speech is over: its facts stay as they are."""
        if turn is self._first:
            facts = facts_of(turn)
            # One that was heard by nobody, because nobody had come, does not count.
            self._first = EndedSpeech(facts) if self._with(speech_of(facts)) else None

    @guarded("pickup.committed")
    def committed(self, turn: UserTurn) -> None:
        """LiveKit took what the caller said."""
        self._caller = self._caller or turn

    def arrival(self) -> Arrival | None:
        """When the caller came, as far as is known now."""
        if not self._arrivals.in_room:
            return Arrival(self._started, "session_start")
        return self._arrivals.arrival(self._before_joining(), self._started)

    def setup(self) -> Setup:
        """How the agent came to the call, as far as is known now."""
        received, accepted, assigned, launched = self._dispatched
        entered, ended = self._hooks.first_entered or (None, None)
        return Setup(
            received=received,
            accepted=accepted,
            assigned=assigned,
            process_began=self._process.began,
            imported=self._process.imported,
            launched=launched,
            connected=self._arrivals.joined(self._before_joining()),
            session_started=self._started,
            entered=entered,
            enter_ended=ended,
        )

    def _before_joining(self) -> int | None:
        """The latest moment that was certainly before the agent was in the room."""
        if self._arrivals.connected is not None:
            return self._started
        return self._dispatched[-1]

    def so_far(self, now: int) -> Pickup | None:
        """The pickup while nothing is heard yet; ``None``: nobody has come."""
        arrival = self.arrival()
        if arrival is None:
            return None
        turn = next(iter(self._state.speeches.values()), None)
        speech = speech_of(facts_of(turn)) if turn is not None else None
        return conversation.pickup_so_far(arrival, self.setup(), speech, now)

    def now(self) -> Pickup | None:
        """The pickup as it is known now; ``None``: nothing was heard yet, or nobody has come."""
        first = self._first
        return self._with(speech_of(facts_of(first))) if isinstance(first, AssistantTurn) else None

    def _with(self, speech: Speech) -> Pickup | None:
        """The pickup, if this speech is the first that was heard."""
        arrival = self.arrival()
        return self._work_out(arrival, self.setup(), [speech]) if arrival is not None else None

    def result(self) -> Callable[[], JSON | None]:
        """What the session's span says of it at the end: worked out when it is called, off the
        event loop, from the facts as they are now."""
        arrival, setup, first = self.arrival(), self.setup(), self._first
        if arrival is None or self._spans.root.payload.get("session_number", 1) > 1:
            return lambda: None  # the caller was there before the session
        ended = EndedSpeech(facts_of(first)) if isinstance(first, AssistantTurn) else first

        @guarded("pickup")
        def work_out() -> JSON | None:
            speeches = [ended.speech(final=True)] if ended is not None else []
            found = self._work_out(arrival, setup, speeches)
            if found is None:
                return None
            found.over_budget = found.exceeded(self._budget)
            return {"at_us": self._spans.offset_us(found.start), **found.as_json()}

        return work_out

    def _work_out(self, arrival: Arrival, setup: Setup, speeches: list[Speech]) -> Pickup | None:
        began = self._caller.span.started_ns if self._caller is not None else None
        found = conversation.pickup_of(arrival, setup, speeches, began)
        # Without a room, the caller is there before anything: that they spoke first, or that
        # there is nothing to hear, makes it no pickup.
        alone = not self._arrivals.in_room
        return None if alone and found is not None and found.until in _NO_SOUND else found


def _moment(wall_s: float | None) -> int | None:
    return from_wall(wall_s) if wall_s is not None else None
