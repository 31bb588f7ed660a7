"""A conversation in the terminal, a line at a time."""

import logging

from rich.text import Text

STYLES = {"caller": "bold cyan", "heard": "dim", "tool": "yellow", "agent": "bold green"}


def line(who: str, what: str) -> Text:
    """One line of the conversation."""
    return Text.assemble((f"{who:>7}  ", STYLES.get(who, "")), what)


def quiet() -> None:
    """Keep LiveKit's log off the terminal, which shows the conversation."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("livekit", "livekit.agents", "livekit.plugins", "openai", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
