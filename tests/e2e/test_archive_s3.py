"""The archive in a real S3 server, on loopback: three hosts that are processes of their own, and
what goes wrong on the way."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from samples.offline.go_program import UnavailableError
from samples.offline.processes import free_port

from archive.hosts import calls, journal, push, say
from prefactor_agent.archive.archiver import Archiver
from prefactor_agent.archive.storage import ArchiveError
from prefactor_agent.config import Settings
from prefactor_agent.journal.archiving import ArchiveTodo
from prefactor_agent.view.model.digest import digest_text
from support.s3 import Bucket, s3, with_faults
from support.waiting import PATIENCE
from view.ui.ui_server import ui_server

HOST = """
import sys
from archive.hosts import calls, journal, push
from pathlib import Path
agent, first, count = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
journal(Path(sys.argv[1]) / "journal.db", *calls(agent, first, count))
print(push(Path(sys.argv[1]) / "journal.db", sys.argv[5]))
"""
HOSTS = [("Shop", 0, 9), ("Shop", 9, 5), ("front/desk=1", 14, 14)]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    try:
        with s3(tmp_path / "s3") as found:
            yield found
    except UnavailableError as error:
        if os.environ.get("PREFACTOR_TEST_S3") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def behind(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The bucket behind what can fail; the environment names it."""
    with with_faults(bucket) as found:
        use(found, monkeypatch)
        yield found


def use(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    for name, value in bucket.environment(**changed).items():  # type: ignore[arg-type]
        monkeypatch.setenv(name, value)


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    all_ = [call for host in HOSTS for call in calls(*host)]
    path = journal(tmp_path / "merged.db", *all_)
    push(path, str(tmp_path / "elsewhere"))
    return path


async def test_three_hosts_and_one_bucket_say_what_one_journal_says(
    bucket: Bucket, merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = []
    paths = os.pathsep.join(sys.path)  # it uses the tests' own calls
    for number, host in enumerate(HOSTS):
        (folder := tmp_path / f"host{number}").mkdir()
        command = [sys.executable, "-c", HOST, str(folder), *map(str, host), bucket.address]
        environment = {**os.environ, **bucket.environment(), "PYTHONPATH": paths}
        hosts.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    assert [host.communicate()[0] for host in hosts] == ["9\n", "5\n", "14\n"]
    use(bucket, monkeypatch)
    assert len(bucket.objects()) == 28
    commands = [
        ("stats", "--json"),
        ("stats", "--json", "--agent", "Shop", "--version", "v0", "--version", "v1"),
        ("sessions", "--json", "-n", "100"),
        ("sessions", "-n", "5"),
        ("show", "--json"),
        ("export",),
    ]
    expected = [say(*command, "--journal", str(merged)) for command in commands]
    assert [say(*command, "--from", bucket.address) for command in commands] == expected
    pages = []
    for place in (merged, bucket.address):
        async with ui_server(place) as ui:
            page = await ui.text("/")
            first = page.partition('href="/calls/')[2].partition('"')[0]
            rows = page.partition("<tbody")[2] or page.partition("<main")[2]
            pages.append((first, rows.partition("</main>")[0], await ui.text(f"/calls/{first}")))
    assert pages[0] == pages[1]
    assert len(pages[0][0]) == 32
    say("archive", "compact", bucket.address)
    assert len(bucket.objects()) < 28
    assert [say(*command, "--from", bucket.address) for command in commands] == expected


def test_a_503_and_a_lost_answer_lose_and_double_nothing(behind: Bucket, tmp_path: Path) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 4))
    behind.faults.extend([("PUT", "503"), ("PUT", "no answer"), ("PUT", "503")])
    assert push(path, behind.address) == 4
    assert not behind.faults
    assert len(behind.objects()) == 4
    command = ("sessions", "--json", "-n", "9")
    assert say(*command, "--from", behind.address) == say(*command, "--journal", str(path))


def test_a_503_while_reading_is_asked_again(behind: Bucket, tmp_path: Path) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 4))
    push(path, behind.address)
    behind.faults.extend([("GET", "503"), ("GET", "no answer")])
    assert say("stats", "--json", "--from", behind.address) == say(
        "stats", "--json", "--journal", str(path)
    )
    assert not behind.faults


def test_a_half_written_object_is_replaced(behind: Bucket, tmp_path: Path) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 2))
    push(path, behind.address)
    [one, _] = behind.objects()
    whole = one.read_bytes()
    one.write_bytes(whole[:3_000])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE archive SET due = 1")
    assert push(path, behind.address) == 2
    assert one.read_bytes() == whole
    assert len(behind.objects()) == 2


def test_a_wrong_key_is_one_line_without_the_key(
    behind: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 1))
    use(behind, monkeypatch, secret="another-secret")
    for command in (["archive", "push", behind.address, "--journal", str(path)],
                    ["stats", "--from", behind.address]):  # fmt: skip
        with pytest.raises(ArchiveError) as failed:
            say(*command)
        said = str(failed.value)
        assert "refuses the key (403 Forbidden, SignatureDoesNotMatch)" in said
        assert "\n" not in said and "another-secret" not in said and "a-key" not in said
    use(behind, monkeypatch)
    assert push(path, behind.address) == 1


def test_an_archiver_waits_for_storage_that_is_down(
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = journal(tmp_path / "j.db", *calls("Shop", 0, 3))
    with closing(ArchiveTodo(path, digest_text)) as todo:
        todo.want_all()
    use(bucket, monkeypatch, port=free_port())
    monkeypatch.setattr("prefactor_agent.archive.storage.RETRY_S", 1)
    down = Archiver(Settings(journal=path, archive=bucket.address), digest_text)
    down.start()
    assert not down.flush(PATIENCE)
    down.wake()
    down.stop(PATIENCE)
    [record] = caplog.records
    assert "cannot be used now" in record.getMessage() and "\n" not in record.getMessage()
    assert bucket.objects() == []
    use(bucket, monkeypatch)
    up = Archiver(Settings(journal=path, archive=bucket.address), digest_text)
    up.start()
    assert up.flush(PATIENCE)
    up.stop(PATIENCE)
    assert len(bucket.objects()) == 3
