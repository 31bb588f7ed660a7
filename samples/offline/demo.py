"""The demo: a whole voice call in the terminal, with no account, no key and no network.

`make demo`. The call is traced as any call of `samples/agent.py` is, and delivered, while it runs,
to a server on loopback that keeps to what is known of Prefactor's API.
"""

import argparse
import asyncio
import shlex
import sys
from pathlib import Path

from rich.console import Console

import prefactor_agent
from prefactor_agent.config import settings
from prefactor_agent.journal.reader import Journal
from prefactor_agent.view.report import write_report
from prefactor_agent.view.terminal.output import print_lines
from prefactor_agent.view.terminal.waterfall import export_svg, waterfall
from support.prefactor_server import PrefactorServer

from .call import run_call
from .recording import stereo, write_wav
from .terminal import print_words, quiet

REPORT = Path("demo-out") / "call.html"


def delivered(server: PrefactorServer) -> str:
    """What reached the server, in one line."""
    spans = server.spans()
    active = sum(span.status == "active" for span in spans)
    writes = [request for request in server.requests() if request["method"] == "POST"]
    return (
        f"Delivered to a stand-in for Prefactor on loopback: {len(spans)} spans in "
        f"{len(writes)} requests, {active or 'none'} of them unfinished"
    )


def epilogue(console: Console, journal: Journal, session_id: str, server: PrefactorServer) -> None:
    """What is shown once the call is over: the call, and how to go on."""
    console.print()
    spans = journal.call(session_id)
    print_lines(lambda width, glyphs: waterfall(spans, width, glyphs))
    REPORT.parent.mkdir(exist_ok=True)
    write_report(journal, session_id, REPORT)
    command = Path(sys.executable).with_name("prefactor-agent")
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    console.print(f"\n{delivered(server)}", soft_wrap=True, highlight=False)
    console.print(f"Journal  {journal.path}", soft_wrap=True, highlight=False)
    console.print(f"Report   {REPORT}  (open it in a browser)", soft_wrap=True, highlight=False)
    label = "Go on"
    for what in ("ui", "sessions", "show last", "export last -o call.jsonl", "doctor"):
        next_ = f"{label:<9}{shlex.quote(str(shown))} {what}"
        console.print(next_, soft_wrap=True, highlight=False)
        label = ""


def main() -> None:
    parser = argparse.ArgumentParser(description="A traced voice call, offline.")
    parser.add_argument("--wav", type=Path, help="write what was heard to this stereo file")
    parser.add_argument("--svg", type=Path, help="write the waterfall as a picture to this file")
    arguments = parser.parse_args()
    quiet()
    console = Console()
    console.print("A call to a kitchen shop, offline, in real time: about half a minute.\n")
    with PrefactorServer() as server:
        prefactor_agent.configure(
            api_url=server.url, api_token=server.token, purpose="smoke_test", flush_timeout=10
        )
        result = asyncio.run(run_call(lambda who, what: print_words(console, who, what)))
        prefactor_agent.flush(10)
        journal = Journal(settings().journal)
        session_id = journal.find("last")
        epilogue(console, journal, session_id, server)
        if arguments.svg:
            export_svg(journal.call(session_id), arguments.svg, title="prefactor-agent show")
        journal.close()
    if arguments.wav:
        heard = stereo(result.caller, result.agent, result.started_at, result.ended_at)
        write_wav(arguments.wav, heard)


if __name__ == "__main__":
    main()
