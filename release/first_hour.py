"""What a stranger does first, with the wheel in an empty environment and no clone: the demo, `init`
on agents that somebody else wrote, and the calls in the browser."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

from .running import environment, fail, run

HERE = Path(__file__).parent
EXAMPLES = HERE / "livekit_examples"
OF_EXAMPLES = ("python-dotenv", "aiocsv")
"""What LiveKit's examples import besides LiveKit."""
PATIENCE = 60


def try_commands(python: Path, home: Path, wheel: Path) -> None:
    """Try them all.

    Args:
        python: Of an environment that has the wheel and nothing else.
        home: An empty folder of its own is made in it.
    """
    command = python.with_name("prefactor-agent")
    folder = home / "first-hour"
    folder.mkdir()
    _try_without_extras(command, folder)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, f"{wheel}[offline,init]", *OF_EXAMPLES, cwd=folder)
    _try_demo(command, folder)
    for agent in sorted(EXAMPLES.glob("*.py")):
        _try_init(python, command, folder, agent)
    _try_ui(command, folder)


def _try_without_extras(command: Path, folder: Path) -> None:
    """Without them, one line says what to install."""
    for words, extra in ((["demo"], "offline"), (["init", "agent.py"], "init")):
        done = subprocess.run(
            [command, *words],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        wanted = f"pip install 'prefactor-agent[{extra}]'"
        if done.returncode != 1 or wanted not in done.stderr or done.stderr.count("\n") != 1:
            fail(f"{words[0]} without its extra said: {done.stdout}{done.stderr}")


def _try_demo(command: Path, folder: Path) -> None:
    said = run(command, "demo", cwd=folder)
    if "turn 6" not in said or not (folder / "prefactor-demo" / "call.html").exists():
        fail(f"the demo said:\n{said}")


def _try_init(python: Path, command: Path, folder: Path, agent: Path) -> None:
    """Show the diff of an example, apply it, and hold a session with what came of it."""
    mine = Path(shutil.copy(agent, folder))
    diff = run(command, "init", agent.name, cwd=folder)
    if (
        "+from prefactor_agent import TracedAgent" not in diff
        or mine.read_text() != agent.read_text()
    ):
        fail(f"init of {agent.name} showed:\n{diff}")
    if run(command, "init", "--write", agent.name, cwd=folder) != diff:
        fail(f"init --write of {agent.name} does something else than it has shown")
    if again := run(command, "init", agent.name, cwd=folder):
        fail(f"after init --write of {agent.name} there is left to do:\n{again}")
    journal = folder / f"{agent.stem}.db"
    run(python, "-I", HERE / "foreign.py", agent.stem, journal, cwd=folder)


def _try_ui(command: Path, folder: Path) -> None:
    """Look at the demo's call in the page that `ui` serves."""
    journal = folder / "prefactor-demo" / "journal.db"
    call = json.loads(run(command, "sessions", "--json", "--journal", journal, cwd=folder))
    browser = build_opener(HTTPCookieProcessor())  # the address leads on, with a cookie
    with subprocess.Popen(
        [command, "ui", "--port", "0", "--journal", journal],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as ui:
        assert ui.stdout is not None
        try:
            address = next(filter(None, (re.search(r"http://\S+", line) for line in ui.stdout)))[0]
            with browser.open(address, timeout=PATIENCE) as answer:
                page = answer.read().decode()
        finally:
            ui.send_signal(signal.SIGINT)
            ended = ui.wait(PATIENCE)
    if ended or call["id"] not in page:
        fail(f"ui does not show {call['id']}, or ended with {ended}:\n{page}")
