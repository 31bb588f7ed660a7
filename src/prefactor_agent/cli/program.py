"""The program ``prefactor-agent``. It never imports LiveKit, so that it answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from .. import __version__
from ..config import ConfigurationError
from ..stored.source import SourceError
from . import archive, looking, operating, packs, starting
from .examples import epilog
from .shared import complain

app = typer.Typer(
    name="prefactor-agent",
    help="Look at the calls of a traced LiveKit agent.",
    epilog=epilog(""),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    if sys.stdout is None:  # closed, as by >&-
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # to the end
    # A transcript may hold what the terminal's encoding does not.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        command()(prog_name="prefactor-agent")
    except (SourceError, ConfigurationError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            _leave_pipe()
        complain(error)
        sys.exit(1)


def command() -> TyperGroup:
    """The program as it is run, with all of its commands."""
    made = typer.main.get_command(app)
    # They are Typer's own, and change the user's files: the command `completion` only prints.
    made.params = [one for one in made.params if not (one.name or "").endswith("_completion")]
    assert isinstance(made, TyperGroup)
    return made


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prefactor-agent {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def _leave_pipe() -> None:
    """End without a message, also at the last flush: the reader (``head``, a pager) has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


looking.register(app)
operating.register(app)
packs.register(app)
starting.register(app)
app.add_typer(archive.app)
