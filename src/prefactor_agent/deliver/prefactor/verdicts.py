"""What a refusal of one span means for it. Pure."""

from __future__ import annotations

from enum import Enum, auto

from ...core.json import JSON

_PASSING = ("internal", "unavailable", "timeout", "too_many", "rate_limit", "gateway")


class Verdict(Enum):
    DONE = auto()  # an earlier try had its effect
    PARK = auto()
    TOO_LARGE = auto()
    NO_CUSTOM_IDS = auto()
    UNKNOWN_SPAN = auto()
    UNKNOWN_INSTANCE = auto()
    DENIED = auto()
    LATER = auto()


def verdict(code: str, errors: JSON, *, finishes: bool, status: int | None = None) -> Verdict:
    """What to do about a refusal.

    Args:
        finishes: The request was to end the span.
        status: The HTTP status; ``None`` inside a bulk answer, which has only codes.
    """
    if status in (401, 403) or code in ("unauthorized", "forbidden"):
        return Verdict.DENIED
    if status == 413 or "too_large" in code:
        return Verdict.TOO_LARGE
    if status is None and any(word in code for word in _PASSING):
        return Verdict.LATER
    if finishes:
        if status == 409 or code in ("invalid_action", "conflict"):
            # Only an active span can be finished: an earlier try, whose answer was lost, did so.
            return Verdict.DONE
        if status == 404 or code == "not_found":
            return Verdict.UNKNOWN_SPAN
    if "idempotency_key" in errors:
        # The key belongs to this span and this step: an earlier version of this program used it,
        # for the same span.
        return Verdict.DONE
    if "agent_instance_id" in errors:
        return Verdict.UNKNOWN_INSTANCE
    if not finishes and "id" in errors:
        return Verdict.DONE if "taken" in str(errors["id"]) else Verdict.NO_CUSTOM_IDS
    return Verdict.PARK


def setting_at_fault(code: str, message: str, errors: JSON) -> str | None:
    """The setting that is wrong when Prefactor refuses to register a call, if it is one."""
    for field in ("agent_id", "environment_id"):
        thing = field.removesuffix("_id")
        if field in errors or (code == "not_found" and thing in message):
            return f"PREFACTOR_{field.upper()}"
    return None
