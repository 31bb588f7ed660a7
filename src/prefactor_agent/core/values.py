"""Parts of a payload or a result, read without trust: what was redacted or cut to size can be
anything in the place of anything."""

from __future__ import annotations

import math
from typing import Any

from .json import JSON


def number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number of more than 300 digits
        return None
    return found if math.isfinite(found) else None


def as_int(value: Any) -> int | None:
    """A finite number without its fraction, or nothing."""
    found = number(value)
    return None if found is None else int(found)


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def error_text(error: Any) -> str:
    """``TypeError: no such thing``."""
    if not isinstance(error, dict):
        return str(error or "")
    return ": ".join(str(error[key]) for key in ("error_type", "message") if error.get(key))


def stack_text(error: Any) -> str:
    """The lines of ``file:line in function`` of an error, the innermost last; empty without."""
    return text(mapping(error).get("stacktrace"))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[JSON]:
    return [part for part in as_list(value) if isinstance(part, dict)]


def agent_of(session: JSON) -> str:
    """The name that a person knows an agent by, from the payload of its session's span."""
    named = mapping(session.get("job")).get("agent_name")
    return str(named or session.get("agent_class") or session.get("agent_name") or "agent")
