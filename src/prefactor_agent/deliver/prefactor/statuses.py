"""The status of a span at Prefactor, where each failed span counts as one failure. Pure: a table in
docs/delivery.md says what it comes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic_core import from_json

from ...core.json import JSON
from ...core.span import SpanType
from ...journal.todo import Todo

CONSEQUENCES = frozenset(
    [SpanType.TOOL_RESULT.value, SpanType.USER_TURN.value, SpanType.ASSISTANT_TURN.value]
)
"""The types that fail because something in or above them did, which says so itself."""


class Failed(NamedTuple):
    """A span of a call that failed, as the journal has it."""

    type: str
    payload: str
    result: str | None


def status_sent(todo: Todo, *, reported: bool = False) -> str:
    """The status of a span: of several spans that tell of one failure, the one of the work that
    failed has it. The result of every one says how it ended.

    Args:
        reported: Another span has the failure: that in which an error lies, or the one whose error
            ended the session (:func:`is_reported`).

    Raises:
        ValueError: The row is damaged.
    """
    if todo.status != "failed":
        return todo.status
    if todo.type == SpanType.SESSION:
        return "complete" if reported else "failed"
    if _object(todo.result).get("lost_end") is True:
        return "cancelled"  # its process ended, and that is one failure: the session's
    return "complete" if reported or _is_consequence(todo.type, todo.payload) else "failed"


def has_failure(failed: Failed) -> bool:
    """Whether a span failed by itself: not of something that tells of it, nor with its process.
    A session has no failure that a span in it could tell of again."""
    try:
        lost = _object(failed.result).get("lost_end") is True
        told = failed.type == SpanType.SESSION or _is_consequence(failed.type, failed.payload)
        return not lost and not told
    except ValueError:  # damaged in the journal: it is parked
        return False


def is_reported(session: Todo, others: Iterable[Failed]) -> bool:
    """Whether the error that a session failed of is the failure of another span in it.

    Args:
        others: The failed spans of the session, without its own.

    Raises:
        ValueError: The session's row is damaged.
    """
    error = _error(session.result)
    return error is not None and any(
        has_failure(one) and error == _error(one.result) for one in others
    )


def _is_consequence(type_: str, payload: str) -> bool:
    # What is said to be recoverable is repeated, or done by another model.
    return type_ in CONSEQUENCES or (
        type_ == SpanType.ERROR and _object(payload).get("recoverable") is True
    )


def _error(result: str | None) -> tuple[object, object] | None:
    error = _object(result).get("error")
    return (error.get("error_type"), error.get("message")) if isinstance(error, dict) else None


def _object(text: str | None) -> JSON:
    value = from_json(text or "{}")
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in the place of an object")
    return value
