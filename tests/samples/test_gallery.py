"""The gallery says of its calls what their traces say."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest
from samples.gallery.calls import CALLS, WIDTH, hold, picture

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.terminal.output import write_svg

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = (DOCS / "gallery.md").read_text("utf-8")
FAULTS = [name for name in CALLS if name != "all-is-well"]
DURATION = re.compile(r"\b\d+(?:\.\d+)? m?s\b")
pytestmark = pytest.mark.skipif(
    version("livekit-agents").startswith("1.5."), reason="the gallery is of the newest LiveKit"
)
in_any_zone = pytest.mark.skipif(
    not hasattr(time, "tzset"), reason="the pictures have clock times, and this system has one zone"
)


@pytest.fixture(autouse=True)
def in_utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    getattr(time, "tzset", int)()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    getattr(time, "tzset", int)()


@pytest.fixture(scope="module")
def held() -> dict[str, Sequence[StoredSpan]]:
    """Each call's trace, made once."""
    return {name: hold(name) for name in CALLS}


def section(name: str) -> str:
    """What the page says of a call, without its title, code and addresses."""
    [text] = (part for part in re.split(r"^## ", GALLERY, flags=re.M) if f"/{name}.svg" in part)
    return re.sub(r"`[^`]*`|\]\([^)]*\)|^.*\n", " ", text)


def shown(spans: Sequence[StoredSpan]) -> str:
    """What is printed of a call, as one line of words."""
    return " ".join(" ".join(line.plain.split()) for line in picture(spans))


def answers(spans: Sequence[StoredSpan]) -> list[dict[str, float]]:
    """The stages of each answer's dead air, in milliseconds."""
    turns = (span for span in spans if span.type == "livekit:assistant_turn")
    latencies = [turn.result["latency"] for turn in turns if "latency" in turn.result]
    return [{stage["name"]: stage["ms"] for stage in one["stages"]} for one in latencies]


def test_each_call_has_a_section_and_each_section_a_call() -> None:
    assert re.findall(r"\]\(gallery/([\w-]+)\.svg\)", GALLERY) == FAULTS


@pytest.mark.parametrize("name", FAULTS)
def test_the_text_says_what_is_printed(name: str, held: dict[str, Sequence[StoredSpan]]) -> None:
    page, text = shown(held[name]), " ".join(section(name).split())
    durations, quotes = DURATION.findall(text), re.findall(r"“([^”]+)”", text)
    assert len(durations) >= 3
    missing = [said for said in (*durations, *quotes) if said not in page]
    assert missing == []


@in_any_zone
@pytest.mark.parametrize("name", CALLS)
def test_the_picture_is_of_this_program(
    name: str, held: dict[str, Sequence[StoredSpan]], tmp_path: Path
) -> None:
    """`make gallery` draws them anew."""
    write_svg(picture(held[name]), tmp_path / "now.svg", "prefactor-agent show", WIDTH)
    assert words(DOCS / "gallery" / f"{name}.svg") == words(tmp_path / "now.svg")


def words(svg: Path) -> list[str]:
    """Its texts; in which line of the scripted model a failure was is no news."""
    texts = ("".join(part.itertext()) for part in ElementTree.parse(svg).iter("{*}text"))
    return [re.sub(r"\.py:\d+", ".py", text) for text in texts]


def test_what_is_wrong_is_what_takes_longer_and_nothing_else(
    held: dict[str, Sequence[StoredSpan]],
) -> None:
    """Against the call in which all is well, in milliseconds."""
    well = answers(held["all-is-well"])[-1]
    assert {name: round(ms) for name, ms in well.items() if round(ms)} == {
        "vad": 350, "endpointing": 50, "llm_ttft": 400, "llm_ttft_2": 400, "tts_ttfb": 200,
        "leading_silence": 100,
    }  # fmt: skip
    more = {
        "slow-first-token": {"llm_ttft_2": 2200},
        "slow-tool": {"tool:look_up_order": 3000},
        "turn-detector": {"endpointing": 2600},
        "voice-stalls": {},
        "fallback": {"llm_ttft_2": 2000},
    }
    for name, expected in more.items():
        ill = answers(held[name])[-1]
        longer = {
            stage: round(ms - well.get(stage, 0)) for stage, ms in ill.items()
            if round(ms - well.get(stage, 0))
        }  # fmt: skip
        assert longer == expected, name


def test_what_no_dead_air_shows(held: dict[str, Sequence[StoredSpan]]) -> None:
    gaps = [gap for span in held["voice-stalls"] for gap in span.result.get("gaps", ())]
    assert [gap["cause"] for gap in gaps] == ["tts"]
    cut = [span for span in held["backchannel"] if span.result.get("interrupted")]
    assert [span.result["interrupted_by"] for span in cut] == ["user"]


def test_a_cold_process_is_imported_and_prewarmed(held: dict[str, Sequence[StoredSpan]]) -> None:
    pickup = held["cold-pickup"][0].result["pickup"]
    took = {stage["name"]: round(stage["ms"]) for stage in pickup["stages"]}
    assert (took["import"], took["prewarm"]) == (1200, 1700)
    assert round(pickup["ms"]) == sum(took.values()) == 3850


def test_the_table_of_the_latency_page_is_of_this_call(
    held: dict[str, Sequence[StoredSpan]],
) -> None:
    text = (DOCS / "latency.md").read_text("utf-8").partition("## One answer, drawn")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", text.partition("## ")[0], re.MULTILINE))
    stages = answers(held["all-is-well"])[-1]
    assert {name: str(round(ms)) for name, ms in stages.items() if round(ms)} == rows
    assert sum(map(int, rows.values())) == 1500
