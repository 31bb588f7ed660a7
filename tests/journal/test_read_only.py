"""A journal where nothing can be written: SQLite wants to make files beside it even to read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from prefactor_agent.journal import schema
from support.waiting import PATIENCE
from view.calls import spoken_call
from view.commandline import START
from view.journals import write

MOUNT = (
    "unshare --mount --map-root-user sh -c "
    """'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'"""
)
PERMISSIONS = "chmod 500 $0 && exec "
if os.geteuid() == 0:  # for whom permissions do not count
    PERMISSIONS += "setpriv --bounding-set=-dac_override,-dac_read_search "

Locked = list[str]
"""What a command begins with to have the journal's folder read-only."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The journal, at rest: all of it is in one file."""
    folder = tmp_path / "state"
    folder.mkdir()
    path = write(folder / "j.db", spoken_call())
    path.chmod(0o600)
    assert [each.name for each in folder.iterdir()] == ["j.db"]
    return path


@pytest.fixture(params=["mount", "permissions"])
def locked(request: pytest.FixtureRequest, path: Path) -> Iterator[Locked]:
    how = f'{MOUNT} "$0" "$@"' if request.param == "mount" else f'{PERMISSIONS} "$@"'
    command = ["sh", "-c", how, str(path.parent)]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"nothing can be made read-only by {request.param} here")
    path.parent.chmod(0o700)
    yield command
    path.parent.chmod(0o700)


def run(locked: Locked, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*locked, sys.executable, "-c", START, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("beside", [None, "j.db-wal"])
def test_a_call_is_shown(path: Path, locked: Locked, beside: str | None) -> None:
    if beside is not None:
        path.with_name(beside).touch()
    for command in ("show", "sessions", "stats", "export"):
        done = run(locked, command, "--journal", path)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert done.stdout


def test_a_call_that_runs_elsewhere_is_shown(path: Path, locked: Locked) -> None:
    """The files that SQLite wants are there, made by who writes."""
    with closing(schema.connect(path, 1.0)) as writing:
        writing.execute("UPDATE spans SET name = 'written just now'")
        done = run(locked, "export", "--journal", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[0])["name"] == "written just now"


def test_a_journal_with_an_unreadable_log_is_refused_with_a_remedy(
    path: Path, locked: Locked, tmp_path: Path
) -> None:
    log = path.with_name("j.db-wal")
    with closing(schema.connect(path, 1.0)) as writing:
        writing.execute("UPDATE spans SET name = 'written last'")
        written = log.read_bytes()
        whole = path.read_bytes()
    path.write_bytes(whole)
    log.write_bytes(written)
    for command in ("show", "doctor"):
        done = run(locked, command, "--journal", path)
        assert done.returncode == 1
        told = done.stdout + done.stderr
        assert "copy it together with j.db-wal to a place that can be written" in told
        assert "Traceback" not in told
    path.parent.chmod(0o700)
    elsewhere = shutil.copytree(path.parent, tmp_path / "elsewhere")
    done = run([], "export", "--journal", elsewhere / "j.db")
    assert '"written last"' in done.stdout, "as it says"


def test_doctor_says_that_nothing_can_be_recorded(path: Path, locked: Locked) -> None:
    done = run(locked, "doctor", "--journal", path)
    assert done.returncode == 1
    assert f"{path} can be read but not written" in done.stdout


FOLLOW = """
import sys
from pathlib import Path
from prefactor_agent.journal.follow import Follower
follower = Follower(Path(sys.argv[1]))
for _ in sys.stdin:
    print([event.name for event in follower.look()], flush=True)
"""


def test_tail_waits_for_who_writes(path: Path, locked: Locked) -> None:
    command = [*locked, sys.executable, "-c", FOLLOW, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdin is not None
        assert follower.stdout is not None

        def look() -> str:
            print(file=follower.stdin, flush=True)
            return follower.stdout.readline().strip()

        assert look() == "[]"
        path.parent.chmod(0o700)
        with closing(schema.connect(path, 1.0)) as writing:
            writing.execute(
                "INSERT INTO spans VALUES ('n', 'n', NULL, 'livekit:session', 'new one', 'active', "
                "1, NULL, '{}', NULL)"
            )
            assert look() == "['new one']"
            follower.stdin.close()
