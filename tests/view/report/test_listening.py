"""What a page needs to play its call's recording, and that nothing else changes."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.stored.recording import Recording
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.report import ReportError, render, write_report
from prefactor_agent.view.report.listening import MOST_EMBEDDED, PageSound, embedded, heard_turns
from prefactor_agent.view.report.page import Served
from view.calls import spoken_call
from view.report.recorded import AGENT_MS, BEGINS_MS, CALLER_MS, record
from view.report.report_calls import SESSION, session, small, span
from view.report.test_report import Page


class _Source:
    """A source of one call."""

    def __init__(self, spans: list[Any], recording: Recording | None) -> None:
        self.call = lambda session_id: spans
        self.alive = lambda session_id: None
        self.recording = lambda session_id: recording


def written(folder: Path, recording: Recording | None, **options: Any) -> str:
    page = folder / "call 1.html"
    write_report(_Source(small(), recording), SESSION, page, **options)  # type: ignore[arg-type]
    return page.read_text("utf-8")


def policy(page: str) -> dict[str, str]:
    """What a page may load, by kind."""
    (found,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    parts = (part.strip().partition(" ") for part in found.replace("&#39;", "'").split(";"))
    return {name: allowed for name, _, allowed in parts}


def audio(page: str) -> dict[str, str | None]:
    (found,) = (attrs for tag, attrs in Page(page).tags if tag == "audio")
    return found


def test_the_recording_lies_beside_the_page_for_its_owner_only(tmp_path: Path) -> None:
    recording = record(tmp_path / "j.db")
    page = written(tmp_path, recording)
    assert audio(page)["src"] == "call%201.ogg", "a path beside the page, wherever both are moved"
    copied = tmp_path / "call 1.ogg"
    assert copied.read_bytes() == recording.path.read_bytes()
    assert copied.stat().st_mode & 0o777 == 0o600
    assert policy(page)["media-src"] == "'self'"
    assert "connect-src" not in policy(page)
    written(tmp_path, recording)  # again, over what was written before


def test_a_page_can_hold_its_recording(tmp_path: Path) -> None:
    recording = record(tmp_path / "j.db")
    page = written(tmp_path, recording, embed_audio=True)
    kind, _, data = str(audio(page)["src"]).partition(",")
    assert kind == "data:audio/ogg;base64"
    assert base64.b64decode(data) == recording.path.read_bytes()
    assert policy(page)["media-src"] == "data:"
    assert (tmp_path / "call 1.html").stat().st_mode & 0o777 == 0o600, "as the recording is"
    assert not (tmp_path / "call 1.ogg").exists()


def test_a_recording_that_no_page_should_hold_is_refused_in_one_line(tmp_path: Path) -> None:
    recording = replace(record(tmp_path / "j.db"), bytes=MOST_EMBEDDED + 100_000)
    with pytest.raises(ReportError, match=r"has 64\.1 MB, and a page holds 64\.0 MB") as caught:
        written(tmp_path, recording, embed_audio=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "call 1.html").exists()
    assert audio(written(tmp_path, recording))


def test_no_other_file_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "call 1.ogg"
    mine.write_text("an interview")
    with pytest.raises(ReportError, match="no recording of a call: choose another with -o"):
        written(tmp_path, record(tmp_path / "j.db"))
    assert mine.read_text() == "an interview"


@pytest.mark.parametrize("options", [{}, {"embed_audio": True}])
def test_a_recording_that_is_gone_is_one_line(tmp_path: Path, options: dict[str, Any]) -> None:
    recording = record(tmp_path / "j.db")
    recording.path.unlink()
    with pytest.raises(ReportError, match="No such file"):
        written(tmp_path, recording, **options)


def test_without_a_recording_nothing_of_it_is_in_the_page(tmp_path: Path) -> None:
    page = written(tmp_path, None, embed_audio=True)
    assert page == render(small())
    assert "media-src" not in policy(page)
    assert "recording" not in Page(page).data
    for part in ("<audio", "data-player", ".player", "AudioContext"):
        assert part not in page


def test_the_page_knows_when_there_is_sound_and_when_each_side_is_heard(tmp_path: Path) -> None:
    data = Page(written(tmp_path, record(tmp_path / "j.db"))).data
    tick_ms, recording = data["tick_us"] / 1000, data["recording"]
    assert [recording["from"] * tick_ms, recording["to"] * tick_ms] == [BEGINS_MS, 11_800]
    turns = {data["ids"][at]: (a * tick_ms, b * tick_ms) for at, a, b in recording["turns"]}
    assert turns == {"user1": CALLER_MS, "agent1": AGENT_MS}


def test_what_was_typed_or_never_played_is_not_heard() -> None:
    typed = span("livekit:user_turn", 0, 5, id="u", payload={"modality": "text"})
    unplayed = span("livekit:assistant_turn", 6, 9, id="a", result={"generated_text": "No."})
    assert list(heard_turns(build([session(), typed, unplayed]))) == []
    heard = {turn.span_id: turn for turn in heard_turns(build(spoken_call()))}
    assert heard["u1"][1:] == (1_000_000, 2_000_000)
    assert heard["a1"][1:] == (4_400_000, 6_400_000)


def test_what_was_kept_off_the_record_is_on_the_page(tmp_path: Path) -> None:
    spans = small()
    spans[0].result["moments"] = [
        {"kind": "user_away", "at_us": 5_000_000, "until_us": 5_500_000},
        {"kind": "off_the_record", "at_us": 6_000_000, "until_us": 7_000_000},
        {"kind": "off_the_record", "at_us": 11_000_000},
        {"kind": "off_the_record"},
    ]
    sound = embedded(record(tmp_path / "j.db"))
    data = Page(render(spans, sound=sound)).data
    off = [[at * data["tick_us"] for at in part] for part in data["recording"]["off"]]
    assert off == [[6_000_000, 7_000_000], [11_000_000, 12_000_000]], "the last until the end"
    assert Page(written(tmp_path, sound.recording)).data["recording"]["off"] == []


def test_a_page_that_follows_a_call_says_that_it_can_be_heard_later(tmp_path: Path) -> None:
    sound, served = PageSound(record(tmp_path / "j.db"), "/calls/x/audio"), Served("/", "follow()")
    running = render([session(None)], alive=True, served=served, sound=sound)
    assert "It can be heard when it has ended." in running
    assert "<audio" not in running
    assert "heard when" not in render([session(None)], alive=True, served=served)
    ended = render([session()], served=served, sound=sound)
    assert audio(ended)["src"] == "/calls/x/audio"
    assert "heard when" not in ended
