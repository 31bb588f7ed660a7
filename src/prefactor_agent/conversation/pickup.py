"""The pickup of a call: from the caller's arrival to the agent's first sound, cut into stages.

The arrival is told by the LiveKit server, on its own clock; everything else lies on the clock of
the agent's machine. Where the two provably disagree, the arrival is moved by the least that makes
them agree (:func:`clocks_apart`), and what is left of the difference is in the stage before the
first moment of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core.json import JSON
from . import stages
from .split import Stage, Step, so_far, split
from .steps import until_heard
from .timeline import Speech

RESOLUTION_NS = 1_000_000
"""The server tells a moment in whole milliseconds, rounded down."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When the caller came, in nanoseconds, and what that is based on."""

    at: int
    since: str
    """``joined``: the server says when they joined the room; ``answered``: they took a call of the
    agent's; ``seen``: they came while the session ran; ``session_start``: no more is known than
    that the session was started then."""
    clocks_apart: int = 0
    """By how much the server's clock was found to be off, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the agent came to the call. Moments in nanoseconds; ``None``: it was not told."""

    received: int | None = None
    """The worker got the server's request."""
    accepted: int | None = None
    assigned: int | None = None
    """The server gave the job to this worker."""
    process_began: int | None = None
    imported: int | None = None
    """The process had come to import this package."""
    launched: int | None = None
    """A process that was ready got the job."""
    connected: int | None = None
    """The agent was in the room."""
    session_started: int | None = None
    """``AgentSession.start`` was called."""
    entered: int | None = None
    """``on_enter`` of the first agent was called."""
    enter_ended: int | None = None


@dataclass(slots=True)
class Pickup:
    """The silence before the agent was heard first."""

    start: int
    """The caller's arrival, in nanoseconds."""
    stages: list[Stage]
    """In order; they sum to it."""
    since: str
    """What the beginning is based on, see :class:`Arrival`."""
    until: str
    """What the end is based on, as that of a :class:`.measure.Latency`; or ``caller``."""
    clocks_apart: int = 0
    over_budget: dict[str, float] = field(default_factory=dict)

    @property
    def us(self) -> int:
        """How long it was, in microseconds."""
        return sum(stage.us for stage in self.stages)

    def exceeded(self, budget_s: float | None) -> dict[str, float]:
        """How long it took, in seconds, if that is over its budget. Where the caller spoke first
        it is over none: nobody knows when the agent would have."""
        over = budget_s is not None and self.until != stages.CALLER and self.us > budget_s * 1e6
        return {stages.PICKUP: self.us / 1e6} if over else {}

    def as_json(self) -> JSON:
        """As it is kept in the result of the session (docs/trace-format.md)."""
        apart = {"clocks_apart_ms": self.clocks_apart // 1000 / 1000} if self.clocks_apart else {}
        return {
            "ms": self.us / 1000,
            "stages": [{"name": name, "ms": us / 1000} for name, us in self.stages],
            "basis": {"from": self.since, "to": self.until, **apart},
            **({"over_budget": self.over_budget} if self.over_budget else {}),
        }


def clocks_apart(joined: int, after: int | None, before: int | None) -> int:
    """How far the server's clock is off at least, to be added to what it tells.

    Args:
        joined: When the agent joined the room by the server's clock.
        after: A moment that was certainly before that, on our clock.
        before: One that was certainly not.
    """
    if before is not None and joined > before:
        return before - joined
    if after is not None and joined + RESOLUTION_NS < after:
        return after - joined
    return 0


def arrived(joined: int | None, seen: int | None, apart: int, since: str) -> Arrival | None:
    """When a caller came; ``None``: nobody knows.

    Args:
        joined: As the server tells it.
        seen: When the agent saw them first; they cannot have come later.
        apart: See :func:`clocks_apart`.
        since: What ``seen`` is: what the arrival is based on if the server tells nothing.
    """
    if joined is None:
        return Arrival(seen, since) if seen is not None else None
    at = joined + apart
    if seen is not None and at > seen:
        at = seen
    return Arrival(at, "joined", abs(at - joined))


def pickup_of(
    arrival: Arrival, setup: Setup, speeches: Sequence[Speech], caller_began: int | None
) -> Pickup | None:
    """The pickup of a call; ``None``: nothing was heard of either.

    Args:
        speeches: Those among which is the first that was heard after the arrival.
        caller_began: When the caller first said something.
    """
    start = arrival.at
    heard = _first_heard(speeches, start)
    if caller_began is not None and (heard is None or caller_began < heard[0]):
        end, until = max(start, caller_began), stages.CALLER
        steps = [*_preparing(setup, start), *_entering(setup, None)]
        steps.append(Step(stages.CALLER, None, end))
    elif heard is not None:
        end, until, speech = heard
        steps = _all_steps(setup, start, speech, end)
    else:
        return None
    cut = split(start, end, steps)
    return Pickup(start, cut, arrival.since, until, arrival.clocks_apart)


def pickup_so_far(arrival: Arrival, setup: Setup, speech: Speech | None, now: int) -> Pickup:
    """The same while nothing was heard yet.

    Args:
        speech: The greeting that is being made, if there is one.
        now: In nanoseconds.
    """
    steps = _all_steps(setup, arrival.at, speech, now)
    cut = split(arrival.at, now, so_far(steps, now))
    return Pickup(arrival.at, cut, arrival.since, "now", arrival.clocks_apart)


def _first_heard(speeches: Sequence[Speech], start: int) -> tuple[int, str, Speech] | None:
    """When the agent was heard first from ``start`` on, what that is based on, and the speech as it
    was then."""
    found: list[tuple[int, str, Speech]] = []
    for speech in speeches:
        for sound, part in speech.stretches:
            basis = (part.side.sound() or (sound, "text"))[1]
            if sound >= start:
                found.append((sound, basis, speech))
            elif any(one.started <= start < (one.finished or start) for one in speech.segments):
                found.append((start, basis, speech))  # the caller came in the middle of it
    return min(found, key=lambda one: one[0], default=None)


def _all_steps(setup: Setup, start: int, speech: Speech | None, end: int) -> list[Step]:
    if speech is None:
        return [
            *_preparing(setup, start),
            *_entering(setup, None),
            Step(stages.PROGRAM, None, None),
        ]
    side = speech.part_at(end).side
    return [
        *_preparing(setup, start),
        *_entering(setup, speech.created),
        Step(stages.PROGRAM, None, speech.created),
        *until_heard(side, end),
    ]


def _preparing(setup: Setup, start: int) -> list[Step]:
    """How the agent came to the call, up to the start of its session."""
    cold = setup.process_began is not None and setup.process_began > start
    spawning = [
        Step(stages.PROCESS, None, setup.process_began),
        Step(stages.IMPORT, None, setup.imported),
    ]
    told = (setup.received, setup.accepted, setup.assigned, setup.launched)
    found: list[Step] = []
    if any(moment is not None for moment in told):
        found = [
            Step(stages.DISPATCH, None, setup.received),
            Step(stages.ACCEPT, None, setup.accepted),
            Step(stages.ASSIGNMENT, None, setup.assigned),
            *(spawning if cold else ()),
            Step(stages.PREWARM if cold else stages.PROCESS, None, setup.launched),
        ]
    elif cold:
        found = [Step(stages.DISPATCH, None, setup.process_began), spawning[1]]
    else:
        # Nobody tells what came before: it is in the stage up to the first moment of our own.
        own = [at for at in (setup.connected, setup.session_started) if at is not None]
        found = [Step(stages.DISPATCH, None, min(own, default=None))]
    return found + _starting(setup)


def _starting(setup: Setup) -> list[Step]:
    """The program's entrypoint. It connects to the room itself, or leaves that to LiveKit, which
    does it in ``AgentSession.start``."""
    connect = Step(stages.CONNECT, None, setup.connected)
    entrypoint = Step(stages.ENTRYPOINT, None, setup.session_started)
    began, connected = setup.session_started, setup.connected
    if began is not None and connected is not None and connected < began:
        return [connect, entrypoint]
    return [entrypoint, connect]


def _entering(setup: Setup, created: int | None) -> list[Step]:
    """The start of the session, and the agent's own hook, up to the greeting."""
    ended = setup.enter_ended
    if created is not None:
        ended = created if ended is None else min(ended, created)
    return [
        Step(stages.SESSION_START, None, setup.entered),
        Step(stages.ON_ENTER, setup.entered, ended if setup.entered is not None else None),
    ]
