"""What a refusal of one span means for it. Pure."""

from __future__ import annotations

from enum import Enum, auto

from ..core.json import JSON

_PASSING = ("internal", "unavailable", "timeout", "too_many", "rate_limit", "gateway")


class Verdict(Enum):
    DONE = auto()  # an earlier try of ours had its effect
    PARK = auto()
    TOO_LARGE = auto()
    NO_CUSTOM_IDS = auto()
    UNKNOWN_SPAN = auto()
    UNKNOWN_INSTANCE = auto()
    DENIED = auto()
    LATER = auto()


def verdict(code: str, errors: JSON, *, finishes: bool, status: int | None = None) -> Verdict:
    """``status`` is known of a call of its own only: inside a bulk answer there is just the
    code."""
    if status in (401, 403) or code in ("unauthorized", "forbidden"):
        return Verdict.DENIED
    if status == 413 or "too_large" in code:
        return Verdict.TOO_LARGE
    if status is None and any(word in code for word in _PASSING):
        return Verdict.LATER
    if finishes:
        if status == 409 or code in ("invalid_action", "conflict"):
            # Only an active span can be finished: it has been, by a try whose answer was lost.
            return Verdict.DONE
        if status == 404 or code == "not_found":
            return Verdict.UNKNOWN_SPAN
    if "idempotency_key" in errors:
        # The key is of this span and this step alone: whoever used it was an earlier version of
        # this program, with the same span.
        return Verdict.DONE
    if "agent_instance_id" in errors:
        return Verdict.UNKNOWN_INSTANCE
    if not finishes and "id" in errors:
        return Verdict.DONE if "taken" in str(errors["id"]) else Verdict.NO_CUSTOM_IDS
    return Verdict.PARK


def setting_at_fault(code: str, message: str, errors: JSON) -> str | None:
    """The setting to look at when Prefactor refuses to register a call, if it is one."""
    for field in ("agent_id", "environment_id"):
        thing = field.removesuffix("_id")
        if field in errors or (code == "not_found" and thing in message):
            return f"PREFACTOR_{field.upper()}"
    return None
