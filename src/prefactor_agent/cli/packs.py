"""The command that makes a pack for Prefactor's open evals: ``evals-pack``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ..journal.reader import JournalPlace
from ..stored.source import Source
from .completion import call_names
from .examples import add
from .shared import JournalOption, journal_path, writing_to


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add(app, evals_pack)


def evals_pack(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CALL|AGENT…",
            help="Calls, or agents with all of their calls. Default: last.",
            autocompletion=call_names,
        ),
    ] = None,
    journal: JournalOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a file instead."),
    ] = None,
) -> None:
    """Make a pack for Prefactor's open evals of the tools of calls.

    It maps the types of their spans, without which half of the evals find nothing to check.
    """
    from ..view.export import evals_pack as packs

    with closing(JournalPlace(journal_path(journal)).open()) as source:
        tools: set[str] = set()
        for session_id in dict.fromkeys(_named(source, names or ["last"])):
            tools |= packs.tool_types(source.outline(session_id))
    text = json.dumps(packs.evals_pack(tools), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    with writing_to(output, "-o"):
        output.write_text(text, encoding="utf-8", newline="\n")


def _named(source: Source, names: list[str]) -> Iterator[str]:
    """The ids of the calls that are named.

    Raises:
        SourceError: One of the names is neither a call's nor an agent's.
    """
    from ..view.model.digest import Wanted, digests

    for name in names:
        found = [digest.id for digest in digests(source, Wanted(agent=name))]
        yield from found or [source.find(name)]
