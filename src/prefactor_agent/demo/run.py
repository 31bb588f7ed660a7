"""The demo from beginning to end: the call, its journal and its page, in one folder.

The call is traced as any call is, with the default settings: those of the user's environment would
deliver it, or keep nothing of it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from rich.console import Console

from prefactor_agent import configure, flush

from ..journal.reader import Journal
from ..view.report import write_report
from ..view.terminal.output import print_lines
from ..view.terminal.waterfall import export_svg, waterfall
from . import shop
from .call import run_call
from .recording import stereo, write_wav
from .terminal import print_files, print_words, quiet

JOURNAL = "journal.db"
PAGE = "call.html"


def run_demo(
    folder: Path,
    *,
    wav: Path | None = None,
    svg: Path | None = None,
    keep_audio: bool = False,
) -> None:
    """Hold the call, in real time, and show what was recorded of it. Nothing is sent anywhere.

    Args:
        folder: Gets the journal and the page.
        wav: Gets what was heard, the caller on the left and the agent on the right.
        svg: Gets the waterfall as a picture.
        keep_audio: Have the tracer record the call beside the journal.

    Raises:
        OSError: A file cannot be written.
        TimeoutError: Nothing happened for a minute.
    """
    for name in [name for name in os.environ if name.startswith("PREFACTOR_")]:
        del os.environ[name]
    path = folder / JOURNAL
    quiet()
    configure(journal=path.resolve(), purpose="smoke_test", flush_timeout=10, keep_audio=keep_audio)
    console = Console()
    console.print("A call to a kitchen shop, offline, in real time: about half a minute.\n")
    result = asyncio.run(run_call(lambda who, what: print_words(console, who, what)))
    flush(10)
    journal = Journal(path)
    session_id = journal.find()
    spans = journal.call(session_id)
    console.print()
    print_lines(lambda width, glyphs: waterfall(spans, width, glyphs))
    # In the page, so that either voice can be muted there: a browser refuses it of two files.
    write_report(journal, session_id, folder / PAGE, embed_audio=True)
    recorded = journal.recording(session_id)
    journal.close()
    files = {"Journal": path, "Page": folder / PAGE, "Agent": Path(shop.__file__)}
    if recorded is not None:
        files["Recorded"] = recorded.path
    if svg is not None:
        export_svg(spans, svg, title="prefactor-agent show")
        files["Picture"] = svg
    if wav is not None:
        heard = stereo(result.caller, result.agent, result.started_at, result.ended_at)
        write_wav(wav, heard)
        files["Sound"] = wav
    print_files(console, files, path)
