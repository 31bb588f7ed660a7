"""The wall between the tracer and the agent: what fails on our side stays on our side.

Every entry from LiveKit into the tracer goes through :func:`guarded`. A failure is counted under
the name of its seam and logged once for that seam; the agent sees nothing of it. The counts are
shown by ``prefactor-agent doctor`` and written into the trace."""

from __future__ import annotations

import functools
import inspect
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger("prefactor_agent")

P = ParamSpec("P")
R = TypeVar("R")

failures: Counter[str] = Counter()
"""Failures of the tracer itself in this process, by seam."""


def report(seam: str, error: Exception) -> None:
    """Count a failure of ours; log it the first time that this seam fails."""
    failures[seam] += 1
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
                report(seam, error)
                return None

        return call

    return decorate


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
