"""The command line. Reads the journal; never imports LiveKit, so that it answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .config import ConfigurationError, settings
from .deliver import commands
from .journal.reader import Journal, JournalError, StoredSpan

app = typer.Typer(
    name="prefactor-agent",
    help="Look at the calls of a traced LiveKit agent.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CallArgument = Annotated[
    str, typer.Argument(metavar="[CALL]", help="An id, the beginning of one, or last.")
]
JournalOption = Annotated[
    Path | None,
    typer.Option("--journal", metavar="PATH", help="The journal. Default: $PREFACTOR_JOURNAL."),
]
WidthOption = Annotated[
    int | None, typer.Option("--width", min=1, help="Columns. Default: the terminal's.")
]


def main() -> None:
    """The console script."""
    # A transcript may hold what the terminal's encoding does not.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        app()
    except (JournalError, ConfigurationError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            _leave_pipe()
        print(f"prefactor-agent: {_one_line(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prefactor-agent {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_tell_version
        ),
    ] = False,
) -> None:
    pass


@app.command()
def sessions(
    journal: JournalOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a call.")] = False,
) -> None:
    """List the calls, newest first."""
    from .view.export import json_line
    from .view.listing import summaries, summary_object, table

    opened = _open(journal)
    listed = list(summaries(opened, limit))
    if not listed:
        opened.find()  # says that there is none
    if json:
        _write(json_line(summary_object(call)) for call in listed)
        return
    from .view.terminal import print_lines

    ids = [session.id for session in opened.sessions()]
    print_lines(lambda width, glyphs: table(listed, ids, width, glyphs))


@app.command()
def show(
    call: CallArgument = "last",
    journal: JournalOption = None,
    width: WidthOption = None,
    json: Annotated[bool, typer.Option("--json", help="The same as one JSON object.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write a picture instead.")
    ] = None,
) -> None:
    """Draw a call as a waterfall: who said what, and where the time went."""
    spans = _spans(journal, call)
    if json:
        from .view.export import json_line
        from .view.outline import outline

        _write([json_line(outline(spans))])
        return
    from .view.waterfall import export_svg, waterfall

    if svg is not None:
        export_svg(spans, svg, title="prefactor-agent show", width=width or 100)
        return
    from .view.terminal import print_lines

    print_lines(lambda columns, glyphs: waterfall(spans, columns, glyphs), width)


@app.command()
def export(
    call: CallArgument = "last",
    journal: JournalOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Always so: JSON lines, one span a line.")
    ] = True,
) -> None:
    """Write the spans of a call as JSON lines (docs/trace-format.md)."""
    from .view.export import export_lines

    _write(export_lines(_spans(journal, call)), output)


commands.register(app)


def _open(path: Path | None) -> Journal:
    return Journal(path.expanduser() if path is not None else settings().journal)


def _spans(path: Path | None, call: str) -> list[StoredSpan]:
    journal = _open(path)
    try:
        return journal.call(journal.find(call))
    finally:
        journal.close()


def _write(lines: Iterable[str], path: Path | None = None) -> None:
    """Lines of JSON, which is UTF-8 whatever the terminal's encoding."""
    if path is not None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    output = sys.stdout.buffer
    for line in lines:
        output.write(f"{line}\n".encode())
    output.flush()


def _leave_pipe() -> None:
    """The reader (``head``, a pager) has seen enough; say nothing, also not at the last flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
