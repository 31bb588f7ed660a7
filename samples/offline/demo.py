"""The demo: a whole voice call in the terminal, with no account, no key and no network.

`python -m samples.offline.demo`
"""

import argparse
import asyncio
import logging
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .call import CallResult, run_call
from .recording import stereo, write_wav

STYLES = {"caller": "bold cyan", "heard": "dim", "tool": "yellow", "agent": "bold green"}


def quiet() -> None:
    """Keep LiveKit's log off the terminal, which shows the conversation."""
    logging.basicConfig(level=logging.ERROR)
    for name in ("livekit", "livekit.agents", "livekit.plugins", "openai", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)


def line(who: str, what: str) -> Text:
    """One line of the conversation."""
    return Text.assemble((f"{who:>7}  ", STYLES.get(who, "")), what)


def epilogue(console: Console, result: CallResult) -> None:
    """What is shown once the call is over."""
    interrupted = sum(one.interrupted for one in result.utterances)
    console.print(
        f"\n{len(result.said)} questions, {len(result.answers)} answers, "
        f"{len(result.tools)} tool calls, {interrupted} interruption"
        f"{'' if interrupted == 1 else 's'}, {result.seconds:.0f} s."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A traced voice call, offline.")
    parser.add_argument("--wav", type=Path, help="write what was heard to this stereo file")
    arguments = parser.parse_args()
    quiet()
    console = Console()
    console.print("A call to a kitchen shop, offline, in real time: about half a minute.\n")
    result = asyncio.run(run_call(lambda who, what: console.print(line(who, what))))
    epilogue(console, result)
    if arguments.wav:
        heard = stereo(result.caller, result.agent, result.started_at, result.ended_at)
        write_wav(arguments.wav, heard)


if __name__ == "__main__":
    main()
