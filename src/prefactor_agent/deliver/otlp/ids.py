"""The ids of OpenTelemetry, made of ours: the same in every process, so that a backend knows a span
that is sent twice."""

from __future__ import annotations

from ...core.ids import ALPHABET

_DIGITS = {character: value for value, character in enumerate(ALPHABET)}
_LENGTH = 32


def trace_id(session_id: str) -> bytes:
    """The trace of a call: the low 128 of the 160 bits of its session's PFID.

    Raises:
        ValueError: That is no PFID.
    """
    return _low_bytes(session_id, 16)


def span_id(id_: str) -> bytes:
    """The id of a span: the low 64 bits of its PFID, which are all of chance.

    Raises:
        ValueError: That is no PFID.
    """
    return _low_bytes(id_, 8)


def _low_bytes(pfid: str, size: int) -> bytes:
    bits = 0
    for character in pfid.lower():
        if (digit := _DIGITS.get(character)) is None:
            raise ValueError(f"no PFID: {pfid[:40]!r}")
        bits = bits << 5 | digit
    low = bits & (1 << size * 8) - 1
    if len(pfid) != _LENGTH or not low:  # an id of zeros means none
        raise ValueError(f"no PFID: {pfid[:40]!r}")
    return low.to_bytes(size, "big")
