"""Values of the user's as plain data, as they are at this moment."""

from __future__ import annotations

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
            value,
            fallback=_name,
            bytes_mode="base64",
            inf_nan_mode="strings",
            serialize_unknown=True,
        )
    except Exception:  # a circular structure, a property that raises
        return _name(value)


def _name(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
