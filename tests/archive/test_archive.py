"""An archive says of calls what the journals say that they come from."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from archive.hosts import MAKERS, calls, journal, moved, push, say
from prefactor_agent.archive.place import ArchivePlace
from prefactor_agent.journal.reader import Journal
from prefactor_agent.view.model.digest import kept
from view.calls import session, spoken_call
from view.commandline import assert_one_line, run
from view.ui.ui_server import ui_server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hosts with journals of their own, what they have written to one archive, and one
    journal with all of their calls."""
    folder = tmp_path_factory.mktemp("made")
    hosts = [calls("Shop", 0, 9), calls("Shop", 9, 5), calls("front/desk=1", 14, 14)]
    for number, of in enumerate(hosts):
        path = journal(folder / f"host{number}.db", *of)
        assert push(path, str(folder / "archive")) == len(of)
    push(
        journal(folder / "merged.db", *(call for of in hosts for call in of)),
        str(folder / "elsewhere"),
    )
    return folder


@pytest.fixture
def merged(made: Path) -> Path:
    """The journal with the calls of all hosts. (Whoever archives a journal ends what was left
    open, so this was archived, too.)"""
    return made / "merged.db"


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    """What the hosts have written, to be changed; beside it their journals."""
    for path in made.glob("host*.db"):
        shutil.copy(path, tmp_path)
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


@pytest.fixture(scope="module")
def compacted(made: Path) -> Path:
    folder = Path(shutil.copytree(made / "archive", made / "compacted"))
    assert "nothing" not in say("archive", "compact", str(folder))
    assert len(list(folder.rglob("*.parquet"))) < 28
    return folder


def ids(path: Path) -> list[str]:
    with closing(Journal(path)) as opened:
        return [call.id for call in opened.listing()]


COMMANDS = [
    ("sessions", "-n", "100"),
    ("sessions", "--json", "-n", "100"),
    ("sessions", "-n", "3"),
    ("stats",),
    ("stats", "--json"),
    ("stats", "--agent", "Shop"),
    ("stats", "--version", "v0", "--version", "v1"),
    ("stats", "--compare", "v0", "v1"),
    ("stats", "--since", "2026-11-14"),
    ("show",),
    ("show", "--json"),
    ("export",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_three_hosts_say_what_one_journal_says(
    made: Path, compacted: Path, merged: Path, command: tuple[str, ...]
) -> None:
    expected = say(*command, "--journal", str(merged))
    assert len(expected) > 100
    if command[0] == "sessions" or command in (("stats",), ("stats", "--json")):
        assert "cost" in expected.lower() and "sonic-none" in expected
    assert say(*command, "--from", str(made / "archive")) == expected
    assert say(*command, "--from", str(compacted)) == expected


def test_each_call_is_shown_as_in_its_journal(archive: Path, merged: Path, tmp_path: Path) -> None:
    for id_ in ids(merged):
        for command in (["show", "--json"], ["export"]):
            expected = say(*command, id_, "--journal", str(merged))
            assert say(*command, id_, "--from", str(archive)) == expected
    for name in ("a", "b"):
        source = ["--journal", str(merged)] if name == "a" else ["--from", str(archive)]
        say("report", ids(merged)[0], *source, "-o", str(tmp_path / name))
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


async def test_the_pages_of_ui_say_the_same(made: Path, compacted: Path, merged: Path) -> None:
    newest = ids(merged)[0]
    pages = ("/", "/?n=100", "/?q=order", f"/calls/{newest}", "/overview?since=all")
    told = [await shown(place, pages) for place in (merged, str(made / "archive"), str(compacted))]
    assert told[0] == told[1] == told[2]
    assert all(len(page) > 1_000 for page in told[0])
    assert re.search(r"\$\d", told[0][-1]), "the overview has costs"


async def shown(place: Path | str, pages: Sequence[str]) -> list[str]:
    """The pages without the name of the place, and what follows its changes."""
    name = Path(place).name
    async with ui_server(place) as ui:
        found = [await ui.text(page) for page in pages]
    plain = [re.sub(r'data-version="[^"]*"', "", page) for page in found]
    return [page.replace(str(place), "PLACE").replace(f">{name}<", ">PLACE<") for page in plain]


def test_digests_come_with_the_calls(archive: Path) -> None:
    with closing(ArchivePlace(str(archive)).open()) as opened:
        assert all(kept(listed) for listed in opened.listing())


def test_a_digest_of_an_older_version_is_not_archived(made: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(made / "host0.db", tmp_path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE digests SET digest = json_set(digest, '$.digest', 0)")
        connection.execute("UPDATE archive SET due = 1, again = 0")
    push(path, str(tmp_path / "again"))
    with closing(ArchivePlace(str(tmp_path / "again")).open()) as opened:
        listed = list(opened.listing())
    assert len(listed) == 9
    assert all(kept(one) for one in listed)


def test_words_are_found(archive: Path, merged: Path) -> None:
    with closing(Journal(merged)) as one, closing(ArchivePlace(str(archive)).open()) as other:
        for words in ("order", "ORDER", "o%r", "_", "nobody said this"):
            assert other.saying(words) == one.saying(words), words


def test_a_beginning_names_a_call(archive: Path, merged: Path) -> None:
    id_ = ids(merged)[3]
    with closing(ArchivePlace(str(archive)).open()) as opened:
        assert opened.find(id_[:10]) == id_
        assert opened.find("last") == ids(merged)[0]
    assert_one_line(run("show", "zzz", "--from", archive), "no call begins with 'zzz'")


def test_a_call_is_written_once(tmp_path: Path, archive: Path) -> None:
    before = {path: path.read_bytes() for path in archive.rglob("*.parquet")}
    assert push(tmp_path / "host0.db", str(archive)) == 0
    with closing(sqlite3.connect(tmp_path / "host0.db")) as connection, connection:
        connection.execute("UPDATE archive SET due = 1")
    assert push(tmp_path / "host0.db", str(archive)) == 9
    assert {path: path.read_bytes() for path in archive.rglob("*.parquet")} == before


def test_a_second_archive_is_written_when_it_is_asked_for(made: Path, tmp_path: Path) -> None:
    path, folder = Path(shutil.copy(made / "host0.db", tmp_path)), tmp_path / "second"
    command = ("archive", "push", str(folder), "--journal", str(path))
    assert "0 calls written" in say(*command)
    assert "9 calls written" in say(*command, "--again")
    assert len(list(folder.rglob("*.parquet"))) == 9


def test_a_later_span_is_written_too(tmp_path: Path) -> None:
    path, folder = journal(tmp_path / "j.db", *calls("Shop", 0, 1)), tmp_path / "archive"
    assert push(path, str(folder)) == 1
    [id_] = ids(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO spans SELECT 'late', session_id, parent_id, type, name, status, "
            "started_us, finished_us, payload, result FROM spans WHERE parent_id = ? LIMIT 1",
            (id_,),
        )
    assert push(path, str(folder)) == 1
    assert say("export", "--from", str(folder)) == say("export", "--journal", str(path))
    assert len(list(folder.rglob("*.parquet"))) == 1


def test_a_half_written_object_is_left_out_and_written_again(
    tmp_path: Path, archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = say("sessions", "-n", "100", "--from", str(archive))
    [broken, *_] = sorted(archive.rglob("*.parquet"))
    broken.write_bytes(broken.read_bytes()[:5_000])
    without = say("sessions", "-n", "100", "--from", str(archive))
    assert len(without.splitlines()) == len(expected.splitlines()) - 1
    assert caplog.text.count("is left out, it cannot be read") == 1
    say("archive", "compact", str(archive))
    assert broken.exists(), "what cannot be read is not removed"
    for number in range(3):
        path = tmp_path / f"host{number}.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE archive SET due = 1")
        push(path, str(archive))
    assert say("sessions", "-n", "100", "--from", str(archive)) == expected


def test_compacting_at_the_same_time_loses_and_doubles_nothing(
    tmp_path: Path, archive: Path
) -> None:
    expected = say("stats", "--json", "--from", str(archive))
    copy = tmp_path / "copy"
    shutil.copytree(archive, copy)
    say("archive", "compact", str(copy))
    for path in copy.rglob("day-*.parquet"):  # the other has written, and removed nothing yet
        shutil.copy(path, archive / path.relative_to(copy))
    assert say("stats", "--json", "--from", str(archive)) == expected
    say("archive", "compact", str(archive))
    assert say("stats", "--json", "--from", str(archive)) == expected
    assert say("sessions", "--json", "-n", "100", "--from", str(archive)).count("\n") == 28


def test_a_call_left_open_by_a_process_that_is_gone_is_ended_and_written(tmp_path: Path) -> None:
    spans = moved([session(ended=None), *spoken_call()[1:]], 0, 0, "Shop")
    path, folder = journal(tmp_path / "j.db", spans), tmp_path / "archive"
    assert push(path, str(folder)) == 1
    assert say("sessions", "--json", "--from", str(folder)) == say(
        "sessions", "--json", "--journal", str(path)
    )
    assert json.loads(say("sessions", "--json", "--from", str(folder)))["status"] == "failed"


@pytest.mark.parametrize(
    "agent", ["a b", "../../up", "ü/ß", "a=b&c", "%2F", "x" * 300, ".", "'; DROP", "agent\n2"]
)
def test_any_name_of_an_agent_is_a_folder(tmp_path: Path, agent: str) -> None:
    path, folder = journal(tmp_path / "j.db", *calls(agent, 0, 2)), tmp_path / "archive"
    assert push(path, str(folder)) == 2
    assert [one.name for one in folder.glob("agent=*")] != []
    assert len(list(tmp_path.glob("archive/agent=*/date=*/*.parquet"))) == 2
    for command in ("sessions", "stats"):
        expected = say(command, "--json", "--journal", str(path))
        assert say(command, "--json", "--from", str(folder)) == expected
    say("archive", "compact", str(folder))
    assert say("stats", "--json", "--from", str(folder)) == expected


def test_there_is_no_archive(tmp_path: Path) -> None:
    assert_one_line(run("sessions", "--from", tmp_path / "none"), "there is no archive at")
    assert_one_line(run("sessions", "--from", "ftp://x"), "s3://bucket/prefix")


def test_all_kinds_of_calls_are_in_the_tests() -> None:
    assert len({make.__name__ for make in MAKERS}) == 7
