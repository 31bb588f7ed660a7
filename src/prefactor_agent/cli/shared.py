"""What the commands share: options, settings and error messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ..checks import ARCHIVE
from ..config import ConfigurationError, Settings, expanded, settings
from ..core.json import JSON
from ..core.text import why
from ..journal.errors import StorageError, UnusableJournalError
from ..journal.reader import JournalPlace, nothing_yet
from ..stored.source import Place


def _expanded(journal: Path | None) -> Path | None:
    """Expand ``--journal=~/j.db``, which the shell leaves as it is."""
    return None if journal is None else expanded(journal)


JournalOption = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="PATH",
        help="The journal. Default: $PREFACTOR_JOURNAL, else prefactor-agent/journal.db in the "
        "user's state directory.",
        callback=_expanded,
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ARCHIVE",
        help="Read an archive in the place of the journal: s3://bucket/prefix, gs://…, az://…, or "
        "a folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def journal_path(journal: Path | None) -> Path:
    """The journal to look at. If the user names it, settings that are wrong do not matter."""
    return journal if journal is not None else settings().journal


def place_of(journal: Path | None, archive: str | None) -> Place:
    """Where the calls are that a command is to look at."""
    if archive is None:
        return JournalPlace(journal_path(journal))
    if journal is not None:
        raise ConfigurationError("--from names an archive, --journal a journal: give one of them")
    from ..archive.place import ArchivePlace

    return ArchivePlace(ARCHIVE("--from", archive))


def settings_for(journal: Path | None) -> Settings:
    """The settings, for a journal that exists; the command ends if it does not."""
    chosen = settings(journal)
    if not chosen.journal.exists():
        fail(nothing_yet(chosen.journal))
    return chosen


@contextmanager
def using(journal: Path) -> Iterator[None]:
    """End the command in one line when the journal cannot be used."""
    try:
        yield
    except UnusableJournalError as error:
        fail(error)
    except StorageError as error:
        fail(f"{journal} cannot be read or written ({error})")


@contextmanager
def writing_to(path: Path, option: str) -> Iterator[None]:
    """Name the option that chose a file when the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({why(error)}): choose another with {option}"
        ) from None


def write_lines(lines: Iterable[str], path: Path | None = None) -> None:
    """Write lines of JSON, in UTF-8 whatever the encoding of the terminal is."""
    if path is not None:
        with writing_to(path, "-o"), path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    output = sys.stdout.buffer
    for line in lines:
        output.write(f"{line}\n".encode())
    output.flush()


def say(value: JSON, words: str, *, as_json: bool) -> None:
    """Print what a command did: for programs, or in words."""
    typer.echo(json.dumps(value) if as_json else words)


def complain(problem: object) -> None:
    """Print in one line what is wrong."""
    typer.echo(f"prefactor-agent: {' '.join(str(problem).split())}", err=True)


def fail(problem: object) -> NoReturn:
    """Print in one line what is wrong, and end the command."""
    complain(problem)
    raise typer.Exit(1)
