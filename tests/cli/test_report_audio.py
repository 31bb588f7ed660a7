"""``report`` of a call that was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from view.calls import SESSION, ZERO_US, spoken_call
from view.commandline import assert_one_line, run
from view.journals import write
from view.report.recorded import record


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "j.db", spoken_call())
    record(path, SESSION, ZERO_US)
    return path


def test_the_recording_is_copied_beside_the_page_and_its_size_is_said(journal: Path) -> None:
    done = run("report", journal=journal)
    assert done.stdout == f"call-{SESSION}.html\n", "the page alone, for other programs"
    name = f"call-{SESSION}.ogg"
    assert done.stderr == f"The recording (0.1 MB) is beside it, in {name}: keep them together.\n"
    copied = journal.with_name(name).read_bytes()
    assert copied == (journal.parent / "j.db-audio" / f"{SESSION}.ogg").read_bytes()
    assert f'src="{name}"' in Path(done.stdout.strip()).read_text("utf-8")


def test_the_page_holds_it_if_that_is_asked_for(journal: Path) -> None:
    done = run("report", "--embed-audio", "-o", "page.html", journal=journal)
    assert done.stdout == "page.html\n"
    assert done.stderr == "The recording (0.1 MB) is in it.\n"
    assert 'src="data:audio/ogg;base64,' in Path("page.html").read_text("utf-8")
    assert not list(Path.cwd().glob("*.ogg"))


def test_it_says_that_there_is_none_to_hold(tmp_path: Path) -> None:
    journal, page = write(tmp_path / "j.db", spoken_call()), tmp_path / "page.html"
    done = run("report", "--embed-audio", "-o", page, journal=journal)
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    assert done.stderr == "The call has no recording.\n"
    assert run("report", "-o", page, journal=journal).stderr == ""


def test_a_file_in_its_way_is_one_line(journal: Path) -> None:
    Path("page.ogg").write_text("an interview")
    done = run("report", "-o", "page.html", journal=journal)
    assert_one_line(done, "page.ogg is there, and no recording of a call")
