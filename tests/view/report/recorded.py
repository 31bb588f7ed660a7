"""The small call with a recording in which each side is a tone while it is heard."""

from __future__ import annotations

from pathlib import Path

from prefactor_agent.stored.recording import Recording
from support import recordings
from support.recordings import Tone
from view.report.report_calls import ORIGIN_US, SESSION

BEGINS_MS = 300
"""Of the recording, after the beginning of the call: it is 11.5 s long."""
CALLER_MS = (1000, 2400)
AGENT_MS = (4370, 5450)
"""Heard in ``small()``, from its curves."""


def record(journal: Path, call_id: str = SESSION, origin_us: int = ORIGIN_US) -> Recording:
    """The recording of the small call, beside a journal."""

    def tone(begins_ms: float, ends_ms: float) -> list[Tone]:
        return [Tone((begins_ms - BEGINS_MS) / 1000, (ends_ms - BEGINS_MS) / 1000)]

    return recordings.write(
        journal,
        call_id,
        origin_us + BEGINS_MS * 1000,
        11.5,
        caller=tone(*CALLER_MS),
        agent=tone(*AGENT_MS),
    )
