"""docs/coverage.md says of all that the installed LiveKit tells where it is in the trace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from support import livekit_names

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "coverage.md").read_text()
FORMAT = (DOCS / "trace-format.md").read_text()
EVENTS = livekit_names.events()


def rows(section: str, text: str = TEXT) -> dict[str, str]:
    """By each name in the left column of a section's table, what stands in the right one."""
    part = text[text.index(f"### {section}\n") :].partition("\n### ")[0]
    found: dict[str, str] = {}
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            left, right = cells
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", left), right)
    return found


def missing(told: Iterable[str], section: str, text: str = TEXT) -> list[str]:
    """Those of LiveKit's names that a section does not have; ``*`` stands for all fields."""
    known = rows(section, text)
    return sorted(
        name for name in told if name not in known and f"{name.partition('.')[0]}.*" not in known
    )


OTHERS = {
    f"{owner}.{event}"
    for owner, events in EVENTS.items()
    if owner not in ("AgentSession", "Room")
    for event in events
}
SECTIONS = {
    "Events: AgentSession": EVENTS["AgentSession"],
    "Events: Room": EVENTS["Room"],
    "Events: models, outputs and other classes": OTHERS,
    "The job": livekit_names.job(),
    "Attributes of LiveKit's telemetry": livekit_names.attributes(),
    "Instruments of LiveKit's metrics": livekit_names.instruments(),
    "Fields of LiveKit's measurements": livekit_names.measured(),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_all_that_livekit_tells_is_in_the_table(section: str) -> None:
    assert missing(SECTIONS[section], section) == []


def test_the_names_are_read() -> None:
    assert {"close", "error", "speech_created"} <= EVENTS["AgentSession"]
    assert {"reconnecting", "sip_dtmf_received"} <= EVENTS["Room"]
    assert {"LLM.error", "TTS.metrics_collected", "AudioOutput.playback_started"} <= OTHERS
    assert {"tagger", "worker_id", "fake_job"} <= SECTIONS["The job"]
    assert {"lk.speech_id", "lk.eou.probability"} <= livekit_names.attributes()
    assert "lk_agents_worker_load" in livekit_names.instruments()
    assert {"LLMMetrics.ttft", "MetricsReport.e2e_latency"} <= livekit_names.measured()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_name_that_is_new_is_missed(section: str) -> None:
    """The comparison can fail: a name of a version to come, and a row that was taken out."""
    assert missing({"Brand.new"}, section) == ["Brand.new"]
    name = next(name for name in sorted(SECTIONS[section]) if name in rows(section) or "." in name)
    row = name if name in rows(section) else f"{name.partition('.')[0]}.*"
    assert name in missing(SECTIONS[section], section, TEXT.replace(f"`{row}`", "`taken out`"))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_row_says_where_or_why_not(section: str) -> None:
    """What it names is in the trace format, or LiveKit's own."""
    for name, where in rows(section).items():
        assert where, name
        reason = where.startswith("— ")
        for key in re.findall(r"`([^`]+)`", where):
            ours = key.removeprefix("inputs.")
            assert re.search(rf"(?<![\w.]){re.escape(ours)}(?!\w)", FORMAT) or reason, (name, key)
        assert reason or "`" in where or where.startswith("as "), name
