"""A pickup with round numbers, as a session's result has it."""

from __future__ import annotations

from typing import Any

TOOK = {
    "dispatch": 200.0,
    "accept": 2.0,
    "process": 800.0,
    "connect": 400.0,
    "llm_ttft": 300.0,
    "tts_ttfb": 298.0,
}


def picked_up(*, since: str = "joined", until: str = "audio", **more: Any) -> dict[str, Any]:
    """Two seconds, from one second before the session began."""
    basis = {"from": since, "to": until, **more.pop("basis", {})}
    return {
        "at_us": -1_000_000,
        "ms": sum(TOOK.values()),
        "stages": [{"name": name, "ms": ms} for name, ms in TOOK.items()],
        "basis": basis,
        **more,
    }
