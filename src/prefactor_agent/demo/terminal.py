"""What the demo shows in the terminal: the conversation, a line at a time, and how to go on."""

import logging
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

STYLES = {"caller": "bold cyan", "heard": "dim", "tool": "yellow", "agent": "bold green"}
GO_ON = ("ui --open", "sessions", "show last", "export last -o call.jsonl", "doctor")


def print_words(console: Console, who: str, what: str) -> None:
    """Print what somebody said; what is too long for a line goes on below its beginning."""
    label = f"{who:>7}  "
    for part in Text(what).wrap(console, console.width - len(label)):
        part.rstrip()
        console.print(Text(label, STYLES.get(who, "")) + part)
        label = " " * len(label)


def print_files(console: Console, files: Mapping[str, Path], journal: Path) -> None:
    """Print where everything is, and the commands that look at the journal."""
    lines = [f"{label:<9}{_short(path)}" for label, path in files.items()]
    label = "Go on"
    for words in GO_ON:
        command = shlex.join([_command(), *words.split(), "--journal", str(journal)])
        lines.append(f"{label:<9}{command}")
        label = ""
    console.print()
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def quiet() -> None:
    """Keep LiveKit's log off the terminal, which shows the conversation."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("livekit.agents", "livekit.plugins", "openai", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # What it says of a connection that fails is raised, too; and the token is in it.
    logging.getLogger("livekit").setLevel(logging.CRITICAL)


def _command() -> str:
    """The program as it can be called from here."""
    ours = Path(sys.executable).with_name("prefactor-agent")
    found = shutil.which("prefactor-agent")
    return ours.name if found is not None and Path(found) == ours else _short(ours)


def _short(path: Path) -> str:
    """The path from the current folder, if it lies in it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
