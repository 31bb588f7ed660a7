"""Completion in the shell: the command that prints the script, and the names of calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from ..config import ConfigurationError
from ..stored.source import SourceError
from ..view.model import numbers
from .shared import place_of

_MOST = 50
"""How many calls are offered at most."""


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that completes in a shell.

    It completes commands, options, and the ids of calls.
    """
    # Typer's own protocol, which the printed script uses as well.
    os.environ["_PREFACTOR_AGENT_COMPLETE"] = f"source_{shell.value}"
    root = context.find_root()
    root.command.main([], root.info_name)


def call_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest calls whose ids begin with what was typed, each with its time and status. An
    archive is not read for this: it may be far away."""
    if context.params.get("from_") is not None:
        return []
    try:
        return [("last", "the newest call"), *_calls(context, incomplete)]
    except (SourceError, ConfigurationError, OSError):
        return []  # completion prints no errors: the command itself says what is wrong


def _calls(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    from ..view.terminal.listing import unique_beginning

    with closing(place_of(context.params.get("journal"), None).open()) as source:
        shown = unique_beginning(source.ids_around())
        fits = (call for call in source.listing() if call.id.startswith(incomplete))
        for call in islice(fits, _MOST):
            name = call.id[:shown] if len(incomplete) <= shown else call.id
            yield name, f"{numbers.date(call.started_us, '%d %b %H:%M')}, {call.status}"


CallArgument = Annotated[
    str,
    typer.Argument(
        metavar="CALL", help="An id, the beginning of one, or last.", autocompletion=call_names
    ),
]
