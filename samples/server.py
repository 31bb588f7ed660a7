"""Everything that a worker and a caller need, on loopback: LiveKit's server, and models.

`python -m samples.server`, and leave it running. LiveKit's server is built into `.livekit` the
first time, which takes a minute or two; the models are the ones of the offline demo.
"""

import contextlib
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from samples.offline import livekit_binary
from samples.offline.livekit_server import LiveKitServer
from samples.offline.processes import Program, StartError, is_free

ROOT = Path(__file__).parents[1]


def serve(
    port: Annotated[int, typer.Option(help="LiveKit's")] = 7880,
    models_port: Annotated[int, typer.Option(help="the models'")] = 8000,
) -> None:
    """Run a LiveKit server and offline models until Ctrl-C."""
    console = Console()
    for wanted, option in ((port, "--port"), (models_port, "--models-port")):
        if not is_free(wanted):
            console.print(f"Port {wanted} is in use: choose another with {option}", highlight=False)
            raise typer.Exit(1)
    try:
        livekit_binary.get(console)
    except livekit_binary.UnavailableError as error:
        console.print(str(error), soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    command = [sys.executable, "-m", "prefactor_agent.demo.server", "--port", str(models_port)]
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        models = Program("models", command, logs / "models.log", {"PYTHONPATH": str(ROOT)})
        try:
            with LiveKitServer(logs / "livekit.log", port=port) as livekit, models:
                ready = models.wait_for(r"^OPENAI_BASE_URL=.*$")[0]
                _print_settings(console, livekit, ready)
                _wait()
        except StartError as error:
            console.print(str(error), soft_wrap=True, highlight=False)
            raise typer.Exit(1) from None


def _print_settings(console: Console, livekit: LiveKitServer, models: str) -> None:
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    settings = " ".join(f"{key}={value}" for key, value in livekit.environment.items())
    for text in (
        "LiveKit and the models are up, on loopback. In two other terminals:",
        "",
        f"  export {settings}",
        f"  export {models}",
        "",
        f"then a worker  {shlex.quote(str(shown))} samples/agent.py dev",
        f"and a caller   {shlex.quote(str(shown))} -m samples.call",
    ):
        console.print(text, soft_wrap=True, highlight=False)


def _wait() -> None:
    """Until Ctrl-C, or until asked to end."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with contextlib.suppress(KeyboardInterrupt):
        ended.wait()


if __name__ == "__main__":
    typer.run(serve)
