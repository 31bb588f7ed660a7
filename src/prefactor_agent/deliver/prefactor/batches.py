"""How much goes into one bulk request, and what the answer says of each part. Has no side
effects."""

from __future__ import annotations

from typing import NamedTuple

from ...core.json import JSON
from ..common.http import LaterError
from .bodies import Body

SPANS_PER_REQUEST = 500
BYTES_PER_REQUEST = 1_000_000
_AROUND = 160
"""Bytes of a bulk item around the fields of its span."""


def fit(batch: list[Body], size_limit: int) -> list[Body]:
    """As many as fit into one request of so many bytes; at least one."""
    size = 0
    for index, body in enumerate(batch):
        size += len(body.fields) + _AROUND
        if index and size > size_limit:
            return batch[:index]
    return batch


def bulk(batch: list[Body]) -> str:
    """The text of the request."""
    return '{"items":[' + ",".join(body.bulk_item for body in batch) + "]}"


class Refusal(NamedTuple):
    body: Body
    code: str
    errors: JSON
    why: str


class Answered(NamedTuple):
    done: list[tuple[Body, JSON]]
    refused: Refusal | None
    """The first refused body: the service did not look at those after it."""


def read(batch: list[Body], answer: JSON) -> Answered:
    """Read the answer to a bulk request.

    Raises:
        LaterError: The answer cannot be understood.
    """
    outputs = answer.get("outputs")
    if not isinstance(outputs, dict):
        raise LaterError("the answer to bulk is not as agreed")
    done: list[tuple[Body, JSON]] = []
    refused: Refusal | None = None
    for body in batch:
        output = outputs.get(body.key)
        if not isinstance(output, dict):
            continue  # after the first error, Prefactor does nothing
        if output.get("status") == "success":
            done.append((body, output))
        elif refused is None:
            code, errors = str(output.get("code", "unknown")), output.get("errors")
            refused = Refusal(
                body,
                code,
                errors if isinstance(errors, dict) else {},
                f"{code}: {output.get('message', '')}",
            )
    if refused is None and not done:
        raise LaterError("the answer to bulk says nothing of what was sent")
    return Answered(done, refused)
