"""The program ``prefactor-agent``. It never imports LiveKit, so that it answers at once."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from .. import __version__
from ..config import ConfigurationError
from ..stored.source import SourceError
from .examples import epilog
from .shared import complain

_COMMANDS: Mapping[str, str] = {
    "sessions": "looking",
    "show": "looking",
    "export": "exporting",
    "report": "looking",
    "ui": "looking",
    "stats": "looking",
    "push": "operating",
    "doctor": "operating",
    "tail": "operating",
    "metrics": "operating",
    "prune": "operating",
    "evals-pack": "packs",
    "demo": "starting",
    "init": "starting",
    "completion": "starting",
    "archive": "archive",
}
"""The module of each command, in the order in which the commands are listed."""
_ALLOCATIONS = 100_000
"""Allocations between two runs of the garbage collector: calls are many objects, and no cycles."""


class _Commands(TyperGroup):
    """The commands. A module is imported when one of its commands is run: to import all of them
    takes longer than many commands do."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # For an unknown name all are loaded, so that similar ones can be suggested.
        for name in [cmd_name] if cmd_name in _COMMANDS else _COMMANDS:
            if name not in self.commands:
                self._load(_COMMANDS[name])
        return super().get_command(ctx, cmd_name)

    def _load(self, module: str) -> None:
        program = typer.Typer(rich_markup_mode=None)
        program.callback()(options)  # with one command it would be no group
        import_module(f".{module}", __package__).register(program)
        self.commands.update(get_group(program).commands)


app = typer.Typer(
    name="prefactor-agent",
    cls=_Commands,
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
    gc.set_threshold(_ALLOCATIONS)
    try:
        command()(prog_name="prefactor-agent")
    except (SourceError, ConfigurationError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            _leave_pipe()
        complain(error)
        sys.exit(1)


def command() -> TyperGroup:
    """The program as it is run."""
    made = typer.main.get_command(app)
    # Typer's own options for completion change the user's files; our command only prints.
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
