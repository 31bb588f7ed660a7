"""Values of the user's as plain data, as they are at this moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from .placeholders import of_size

_SIMPLE = (str, int, float, bool, type(None))
_DEEP = 100
"""Levels from which on a value is named only: JSON readers go no deeper than two hundred."""
_DIGITS = 10**300
"""Whole numbers from here on are named: what reads JSON takes no more than some thousand digits."""


def plain(value: Any) -> Any:
    """A copy of ``value`` made of dicts, lists and simple values; what has no such form is named by
    its type, and bytes by their number: they are never kept.

    Taken when the value passes, since a tool may change its arguments and a caller its result.
    Raises nothing."""
    try:
        return to_jsonable_python(
            _at_rest(value),
            fallback=_name,
            inf_nan_mode="strings",
            serialize_unknown=True,
        )
    except Exception:  # a circular or very deep structure, a property that raises
        return _name(value)


def _at_rest(value: Any, depth: int = 0) -> Any:
    """``value`` without the iterators in it, which to read would take from their owner, and without
    the bytes, which pydantic would write out as text.

    Raises:
        ValueError: It is nested too deeply.
    """
    if isinstance(value, _SIMPLE):
        long = type(value) is int and not -_DIGITS < value < _DIGITS
        return _name(value) if long else value
    if depth > _DEEP:
        raise ValueError("nested too deeply")
    depth += 1
    if isinstance(value, bytes | bytearray):
        return of_size(len(value), "bytes")
    if isinstance(value, memoryview):
        return of_size(value.nbytes, "bytes")
    if isinstance(value, Iterator):
        return _name(value)
    if isinstance(value, BaseModel):
        return _at_rest(value.model_dump(warnings=False), depth)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _at_rest(getattr(value, each.name), depth) for each in fields(value)}
    if isinstance(value, Enum):
        return _at_rest(value.value, depth)
    if isinstance(value, dict):
        return {_key(key): _at_rest(each, depth) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_at_rest(each, depth) for each in value]
    return value


def _key(key: Any) -> Any:
    return _at_rest(key) if isinstance(key, bytes) else key


def _name(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
