"""A conversation in the terminal, a line at a time."""

import logging

from rich.console import Console
from rich.text import Text

STYLES = {"caller": "bold cyan", "heard": "dim", "tool": "yellow", "agent": "bold green"}


def print_words(console: Console, who: str, what: str) -> None:
    """Print what somebody said; what is too long for a line goes on below its beginning."""
    label = f"{who:>7}  "
    for part in Text(what).wrap(console, console.width - len(label)):
        part.rstrip()
        console.print(Text(label, STYLES.get(who, "")) + part)
        label = " " * len(label)


def quiet() -> None:
    """Keep LiveKit's log off the terminal, which shows the conversation."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("livekit.agents", "livekit.plugins", "openai", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # What it says of a connection that fails is raised, too; and the token is in it.
    logging.getLogger("livekit").setLevel(logging.CRITICAL)
