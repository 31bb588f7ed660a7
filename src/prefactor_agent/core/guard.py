"""The wall between the tracer and the agent: what fails on our side stays on our side.

Every entry from LiveKit into the tracer goes through :func:`guarded`. A failure is counted under
the name of its seam and logged once for that seam; the agent sees nothing of it. Those of each
session are counted, too: they are written into its trace, and ``prefactor-agent doctor`` shows
them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger("prefactor_agent")

P = ParamSpec("P")
R = TypeVar("R")

failures: Counter[str] = Counter()
"""Failures of the tracer itself in this process, by seam."""
_of_sessions: dict[str, int] = {}
"""How many of them were of each session that is being recorded, by its id."""


def begin_count(session_id: str) -> None:
    """Count the failures of a session from now on."""
    _of_sessions[session_id] = 0


def end_count(session_id: str) -> int:
    """How many failures a session had. They are counted no longer."""
    return _of_sessions.pop(session_id, 0)


def report(seam: str, error: Exception, *about: object) -> None:
    """Count a failure of ours; log it the first time that this seam fails.

    Args:
        about: What it happened to: in this the session is looked for that it is counted for.
    """
    failures[seam] += 1
    session_id = _session_of(about)
    if session_id in _of_sessions:
        _of_sessions[session_id] += 1
    if failures[seam] == 1:
        logger.warning(
            "the trace may be incomplete: %s failed (%s: %s); the agent is not affected",
            seam,
            type(error).__name__,
            error,
            exc_info=logger.isEnabledFor(logging.DEBUG),
        )


def guarded(seam: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Make a function of ours unable to raise: it answers ``None`` instead."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                report(seam, error, *args)
                return None

        return call

    return decorate


def on_event_loop() -> bool:
    """Whether this thread runs an event loop: what takes long, or the disk, has no place here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_OURS = __name__.partition(".")[0]


def _session_of(about: Iterable[object], depth: int = 2) -> str | None:
    """The session that something belongs to: the ``session_id`` of the nearest object of ours that
    has one, ``depth`` steps away at most. It is looked for only when something has failed, and only
    in our own objects: nothing of LiveKit's or the user's is asked for anything."""
    ours = [one for one in about if type(one).__module__.partition(".")[0] == _OURS]
    for one in ours:
        if isinstance(found := getattr(one, "session_id", None), str):
            return found
    for one in ours if depth else ():
        if (found := _session_of(getattr(one, "__dict__", {}).values(), depth - 1)) is not None:
            return found
    return None


_ALL_IT_HAS = inspect.Signature([inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)])


def listener(handler: Callable[[Any], object]) -> Callable[[Any], None]:
    """``handler`` in a form that is cheap to be told of an event.

    LiveKit's emitter takes the signature of each callback at each event, and counts the arguments
    that fit (livekit.rtc, ``emit``), which costs more than most of our handlers do: this one has it
    ready, and takes all there are.
    """

    def listen(event: Any, *_: Any) -> None:
        handler(event)

    listen.__signature__ = _ALL_IT_HAS  # type: ignore[attr-defined]
    return listen
