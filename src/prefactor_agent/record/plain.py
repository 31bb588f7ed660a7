"""Values of the user's as plain data, as they are at this moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

_SIMPLE = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """A copy of ``value`` made of dicts, lists and simple values; what has no such form is named by
    its type.

    Taken when the value passes, since a tool may change its arguments and a caller its result.
    Raises nothing."""
    if isinstance(value, _SIMPLE):
        return value
    try:
        return to_jsonable_python(
            _at_rest(value),
            fallback=_name,
            bytes_mode="base64",
            inf_nan_mode="strings",
            serialize_unknown=True,
        )
    except Exception:  # a circular structure, a property that raises
        return _name(value)


def _at_rest(value: Any) -> Any:
    """``value`` without the iterators in it: to read one would take it from its owner."""
    if isinstance(value, Iterator):
        return _name(value)
    if isinstance(value, dict):
        return {key: _at_rest(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_at_rest(each) for each in value]
    return value


def _name(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
