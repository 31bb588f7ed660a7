"""The commands that one begins with: ``demo``, ``init``, which traces an agent, and
``completion``."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import ConfigurationError
from ..core.text import why
from .completion import completion
from .examples import add
from .shared import fail, writing_to

if TYPE_CHECKING:
    from ..rewrite import Rewritten


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    add(app, demo, init, completion)


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the journal and the page go.")
    ] = Path("prefactor-demo"),
    wav: Annotated[
        Path | None,
        typer.Option("--wav", metavar="FILE", help="Also write what was heard, as a stereo file."),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Also write the waterfall, as a picture."),
    ] = None,
    keep_audio: Annotated[
        bool, typer.Option("--keep-audio", help="Also record the call beside the journal.")
    ] = False,
) -> None:
    """Hold a traced voice call, offline.

    Real audio, in under a minute: no account, no key, no network, no microphone. The journal
    of the call and its page go into a folder; nothing else is written, and nothing is opened.
    """
    # The voice activity detector brings onnxruntime (1.31 here), which reports its use to its maker
    # unless this is set when it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        from ..demo.run import run_demo
    except ModuleNotFoundError as error:
        fail(f"demo needs {error.name}: pip install 'prefactor-agent[offline]'")
    with writing_to(out, "--out"):
        out.mkdir(parents=True, exist_ok=True)
    try:
        run_demo(out, wav=wav, svg=svg, keep_audio=keep_audio)
    except TimeoutError:
        fail("the call came to a halt: this machine may be too busy to hear and speak in real time")


def init(
    files: Annotated[
        list[Path], typer.Argument(metavar="AGENT.py…", help="The files that define your agents.")
    ],
    write: Annotated[
        bool, typer.Option("--write", "-w", help="Change the files; without it, only show how.")
    ] = False,
) -> None:
    """Trace the agents of a file.

    Shows the diff; --write applies it. Every file is read before the first is changed. A file that
    cannot be followed is refused.
    """
    rewritten = {path: _rewritten(path) for path in files}
    for path, new in rewritten.items():
        if new.changes:
            _show_diff(path, new)
            if write:
                _replace(path, new.source)
        else:
            typer.echo(f"{path}: nothing to change", err=True)
        for use in new.left:
            typer.echo(f"{path}:{use.line}: {use.before} stays, as it makes no agent", err=True)
    if not write and any(new.changes for new in rewritten.values()):
        typer.echo("Nothing is changed yet: add --write to apply this.", err=True)


def _rewritten(path: Path) -> Rewritten:
    try:
        from ..rewrite import NotUnderstoodError, traced
    except ModuleNotFoundError:
        fail("init needs libcst: pip install 'prefactor-agent[init]'")
    try:
        return traced(path.read_bytes())
    except NotUnderstoodError as error:
        fail(f"{path}: {error}; nothing was changed")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({why(error)})") from None


def _show_diff(path: Path, new: Rewritten) -> None:
    before, after = (
        text.decode("utf-8", "replace").splitlines() for text in (path.read_bytes(), new.source)
    )
    for line in difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm=""):
        typer.echo(line)


def _replace(path: Path, source: bytes) -> None:
    """Write the file as a whole or not at all, with its mode, behind a link, too."""
    target = path.resolve()
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as new:
            new.write(source)
        shutil.copymode(target, new.name)
        Path(new.name).replace(target)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({why(error)})") from None
