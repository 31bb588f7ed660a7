"""The chunks of a stream as the journal keeps them: JSON columns of equal length. Each row of the
table ``chunks`` holds the chunks of one write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

from ..core.json import JSON

_KINDS: dict[str, type] = {
    "offset_us": int,
    "size": int,
    "n": int,
    "dbfs": int,
    "text": str,
    "event": dict,
}
_LARGEST = 2**53
"""JSON readers may round larger numbers."""


def read(text: str) -> JSON:
    """The columns of one row.

    Raises:
        ValueError: This program did not write them: somebody changed the file, or it is damaged.
    """
    return checked(from_json(text))


def checked(columns: Any) -> JSON:
    """The columns of one row, once it is sure that they are some.

    Raises:
        ValueError: As :func:`read`.
    """
    if not isinstance(columns, dict) or not {"offset_us", "size"} <= columns.keys():
        raise ValueError("no columns")
    if not all(isinstance(values, list) for values in columns.values()):
        raise ValueError("something else than columns")
    for name, values in columns.items():
        kind = _KINDS.get(name)
        if len(values) != len(columns["size"]):
            raise ValueError(f"{name} is not as long as the others")
        if kind is None or not set(map(type, values)) <= {kind}:
            raise ValueError(f"{name} has something else in it")
        if kind is int and values and not -_LARGEST < min(values) <= max(values) < _LARGEST:
            raise ValueError(f"{name} has a number that cannot be")
    if not all(-255 <= level <= 0 for level in columns.get("dbfs", ())):
        raise ValueError("dbfs has a level that cannot be")
    return columns


def joined(parts: Iterable[JSON]) -> JSON:
    """The columns of several rows, one after the other."""
    whole: JSON = {}
    for part in parts:
        extend(whole, part)
    return whole


def extend(whole: JSON, part: JSON) -> None:
    """Add the columns of a row to those of the rows before it. A chunk without an ``n`` counts
    once."""
    known, length = len(whole.get("offset_us", ())), len(part["offset_us"])
    if "n" in part and "n" not in whole:
        whole["n"] = [1] * known
    for name, values in part.items():
        whole.setdefault(name, []).extend(values)
    if "n" in whole and "n" not in part:
        whole["n"].extend([1] * length)
