"""How work ended: its status, and its error in the words of Prefactor's readers."""

from __future__ import annotations

import asyncio
from typing import Any

from ...core.span import Status
from ...core.stacks import stack_of
from ..livekit import private as livekit_private

PREFACTOR_STATUS = {
    Status.COMPLETE: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
"""``status`` inside a result, in the words of Prefactor's own LiveKit schemas."""


def status_of(error: BaseException | None) -> Status:
    """The status of work that ended with ``error`` (``None``: it ended well)."""
    if error is None:
        return Status.COMPLETE
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Status.CANCELLED
    return Status.FAILED


def error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """What a future ended with, whose error somebody else gets and handles."""
    if future.cancelled():
        return asyncio.CancelledError()
    return livekit_private.failure(future)


def describe_error(error: BaseException) -> dict[str, str]:
    """An exception as Prefactor's readers expect it under ``error``: its type and its message."""
    try:
        message = str(error)
    except Exception:
        message = ""  # the exception's own words fail: say what is known
    return {"error_type": type(error).__name__, "message": message}


def describe_failure(error: BaseException) -> dict[str, str]:
    """The same with the stack, for the span of the work that failed: others that tell of it need
    not repeat where it was."""
    described, stack = describe_error(error), stack_of(error)
    return {**described, "stacktrace": stack} if stack is not None else described
