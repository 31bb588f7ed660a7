"""`prefactor-agent demo`, as a stranger runs it: in an empty folder, with settings and a proxy that
are meant for other programs. The whole call is in `e2e/test_offline_call.py`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefactor_agent.demo.script import GREETING, WHERE
from prefactor_agent.journal.reader import Journal

WAL = {"journal.db-wal", "journal.db-shm"}
SHORT = """
import sys
from prefactor_agent import cli
from prefactor_agent.demo import script

script.CALLER = script.CALLER[:1]
sys.argv = ["prefactor-agent", "demo", *sys.argv[1:]]
cli.main()
"""
"""The caller asks one question only."""


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Where nobody may go."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def environment(elsewhere: socket.socket) -> dict[str, str]:
    address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
    return {
        **os.environ,
        "PREFACTOR_API_URL": address,
        "PREFACTOR_API_TOKEN": "token",
        "PREFACTOR_OTLP": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "PREFACTOR_CAPTURE_CONTENT": "false",
        "HTTP_PROXY": address,
        "https_proxy": address,
        "all_proxy": address,
        "NO_COLOR": "1",
    }


def test_a_call_is_held_and_shown_and_nobody_is_told(
    elsewhere: socket.socket, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT, "--svg", "call.svg", "--wav", "call.wav"],
        cwd=tmp_path,
        env=environment(elsewhere),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert f"  agent  {GREETING}" in done.stdout
    assert f" caller  {WHERE}" in done.stdout and "dead air" in done.stdout
    assert "export last -o call.jsonl --journal prefactor-demo/journal.db" in done.stdout
    with pytest.raises(BlockingIOError):
        elsewhere.accept()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"prefactor-demo", "call.svg", "call.wav"}
    names = {path.name for path in (tmp_path / "prefactor-demo").iterdir()}
    assert {"journal.db", "call.html"} <= names <= {"journal.db", "call.html", *WAL}
    journal = Journal(tmp_path / "prefactor-demo" / "journal.db")
    types = [span.type for span in journal.call(journal.find())]
    journal.close()
    assert types.count("livekit:user_turn") == 1 and types.count("livekit:assistant_turn") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent there")
def test_ctrl_c_ends_it(elsewhere: socket.socket, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", SHORT, "--out", "here"],
        cwd=tmp_path,
        env=environment(elsewhere),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None and demo.stderr is not None
        while GREETING not in (line := demo.stdout.readline()):
            assert line, demo.stderr.read()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        assert demo.stderr.read() == ""


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['pocketsphinx'] = None\n{SHORT}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    wanted = "prefactor-agent: demo needs pocketsphinx: pip install 'prefactor-agent[offline]'\n"
    assert done.stderr == wanted
    assert list(tmp_path.iterdir()) == []
