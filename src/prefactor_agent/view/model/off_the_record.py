"""The parts of a call that its program kept off the record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...core.values import as_int, mappings, text
from .calltree import CallTree

KIND = "off_the_record"
"""Of their moments, in the result of the session."""


class OffRecord(NamedTuple):
    """One part, of which neither sound nor words are kept. Microseconds since the Unix epoch."""

    begins_us: int
    ends_us: int


def off_the_record(call: CallTree) -> Iterator[OffRecord]:
    """In the order of time. A part that has no end goes on until that of the call."""
    result = call.session.result if call.session is not None else {}
    for one in mappings(result.get("moments")):
        at, until = as_int(one.get("at_us")), as_int(one.get("until_us"))
        if text(one.get("kind")) == KIND and at is not None:
            begins = call.started_us + at
            ends = call.last_us if until is None else call.started_us + until
            yield OffRecord(begins, max(begins, ends))
