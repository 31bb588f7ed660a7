"""The command that writes a call for other programs: ``export``."""

from __future__ import annotations

import sys
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..stored.recording import keep_private
from ..stored.source import Place, SourceError
from .completion import CallArgument
from .examples import add
from .shared import (
    FromOption,
    JournalOption,
    place_of,
    write_lines,
    writing_to,
)


class ExportFormat(StrEnum):
    JSONL = "jsonl"
    REPLAY = "replay"
    CHROME_TRACE = "chrome-trace"
    OGG = "ogg"
    WAV = "wav"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add(app, export)


def export(
    call: CallArgument = "last",
    journal: JournalOption = None,
    from_: FromOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")
    ] = None,
    format_: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="jsonl: one span a line (docs/trace-format.md); "
            "replay: a file to test the agent with (docs/testing.md); "
            "chrome-trace: for ui.perfetto.dev and chrome://tracing; "
            "ogg: its sound, where it was recorded (docs/recording.md); wav: the same as PCM.",
        ),
    ] = ExportFormat.JSONL,
    # Spans are JSON in every format. The option is accepted, as by the others, and changes nothing.
    json: Annotated[bool, typer.Option("--json", hidden=True)] = True,
) -> None:
    """Write a call as JSON, for other programs, or its sound.

    As JSON lines, one span a line, or as --format says.
    """
    if format_ in (ExportFormat.OGG, ExportFormat.WAV):
        _write_sound(place_of(journal, from_), call, output, format_)
        return
    with closing(place_of(journal, from_).open()) as source:
        spans = source.call(source.find(call))
    match format_:
        case ExportFormat.JSONL:
            from ..view.export.jsonlines import export_lines

            write_lines(export_lines(spans), output)
        case ExportFormat.REPLAY:
            from ..replay import recording

            write_lines([recording(spans).dump()], output)
        case ExportFormat.CHROME_TRACE:
            from ..view.export.chrome_trace import chrome_trace
            from ..view.export.jsonlines import json_line

            write_lines([json_line(chrome_trace(spans))], output)


def _write_sound(place: Place, call: str, output: Path | None, format_: ExportFormat) -> None:
    from ..view.export.wav import wav

    with closing(place.open()) as source:
        session_id = source.find(call)
        recorded = source.recording(session_id)
    if recorded is None:
        raise SourceError(f"call {session_id} was not recorded: see docs/recording.md")
    pieces = wav(recorded) if format_ is ExportFormat.WAV else [recorded.path.read_bytes()]
    if output is None:
        sys.stdout.buffer.writelines(pieces)
        return
    with writing_to(output, "-o"):
        keep_private(output)
        with output.open("wb") as file:
            file.writelines(pieces)
