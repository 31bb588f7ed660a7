"""The commands that operate an archive: ``push``, ``compact`` and ``ls``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..checks import ARCHIVE
from ..config import ConfigurationError, settings
from ..core.text import count
from ..view.model.numbers import megabytes
from .examples import add
from .shared import JournalOption, JsonOption, complain, say, settings_for, using

ToArgument = Annotated[
    str | None,
    typer.Argument(metavar="ARCHIVE", help="Default: $PREFACTOR_ARCHIVE."),
]

app = typer.Typer(
    name="archive",
    help="Write, compact and list an archive of calls.",
    no_args_is_help=True,
    add_completion=False,
)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.add_typer(app)


def push(
    archive: ToArgument = None,
    journal: JournalOption = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also calls that were written before, to another archive."),
    ] = False,
    audio: Annotated[
        bool,
        typer.Option(
            "--audio",
            help="Also the recordings of the calls that are written. "
            "Default: $PREFACTOR_ARCHIVE_AUDIO.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the calls of a journal that are not in the archive."""
    from ..archive.writer import push_all
    from ..view.model.digest import digest_text

    chosen = settings_for(journal)
    address = _address(archive)
    with using(chosen.journal):
        done = push_all(
            chosen.journal,
            address,
            digest_text,
            audio=audio or chosen.archive_audio,
            again=again,
        )
    words = f"{count(done.calls, 'call')} written to {address}"
    if done.left:
        words += f"; {count(done.left, 'call')} left, still running or written elsewhere"
    say(done._asdict(), words, as_json=as_json)


def compact(archive: ToArgument = None, as_json: JsonOption = False) -> None:
    """Put the calls of each day together, save those of today. Safe while hosts write."""
    from ..archive.compact import compact as put_together
    from ..archive.storage import Storage

    storage = Storage(_address(archive))
    objects = 0
    with tempfile.TemporaryDirectory() as scratch:
        for done in put_together(storage, Path(scratch)):
            objects += done.objects
            sizes = f"{done.bytes_before / 1e6:.1f} → {megabytes(done.bytes_after)}"
            what = f"{count(done.calls, 'call')} of {count(done.objects, 'object')}"
            say(done._asdict(), f"{done.folder}  {what}  {sizes}", as_json=as_json)
    if not objects:
        complain("there is nothing to put together")


def ls(archive: ToArgument = None, as_json: JsonOption = False) -> None:
    """List the days of each agent: objects and bytes."""
    from ..archive.catalog import partitions
    from ..archive.storage import Storage

    for part in partitions(Storage(_address(archive))):
        words = f"{part.folder}  {count(part.objects, 'object')}  {megabytes(part.bytes)}"
        say(part._asdict(), words, as_json=as_json)


add(app, push, compact, ls, group="archive")


def _address(given: str | None) -> str:
    address = ARCHIVE("ARCHIVE", given) if given is not None else settings().archive
    if address is None:
        raise ConfigurationError("there is no archive: name one, or set PREFACTOR_ARCHIVE")
    return str(address)
