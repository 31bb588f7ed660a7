"""Builds the package from the last commit, and shows that it can be released: `make dist`.

Builds the sdist and the wheel twice and compares their bytes; looks at what they hold and say of
themselves; installs each in an empty environment of every supported Python that is found, holds a
traced text session there and does what a stranger does first; type-checks a small program; writes
what came with it, as a bill of materials and as a list of licences. Everything lands in `dist/`."""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from .first_hour import try_commands
from .running import fail, run

CHECKOUT = Path(__file__).parent.parent
HERE = Path(__file__).parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""The supported versions: those in pyproject's classifiers."""
IN_SDIST = {
    "src",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "pyproject.toml",
    "PKG-INFO",
    ".gitignore",  # hatchling reads it, so it belongs to what is built
}
ASSETS = (".js", ".css", ".j2", "py.typed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=CHECKOUT / "dist")
    parser.add_argument(
        "--python",
        action="append",
        metavar="3.11",
        help="try it on this version only (may be given again)",
    )
    arguments = parser.parse_args()
    if changed := run("git", "status", "--porcelain", cwd=CHECKOUT):
        fail(f"the tree is not clean, so it is not what would be released:\n{changed}")
    out: Path = arguments.out
    with tempfile.TemporaryDirectory() as work:
        first, second = (build(Path(work) / name) for name in ("first", "second"))
        for one, other in zip(first, second, strict=True):
            if digest(one) != digest(other):
                fail(f"{one.name} is built otherwise the second time")
        check_contents(*first)
        run(sys.executable, "-m", "twine", "check", "--strict", *first, cwd=work)
        out.mkdir(exist_ok=True)
        released = [Path(shutil.copy2(path, out)) for path in first]
        try_pythons(arguments.python or PYTHONS, released, Path(work), out)
    for path in sorted(out.iterdir()):
        print(f"{digest(path)}  {path.relative_to(out.parent)}")


def build(where: Path) -> tuple[Path, Path]:
    """Build the wheel from the sdist, and that from the last commit.

    Returns:
        The sdist and the wheel.
    """
    source, out = where / "source", where / "out"
    source.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=CHECKOUT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        tree.extractall(source, filter="data")
    committed = run("git", "log", "-1", "--format=%ct", cwd=CHECKOUT)
    run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source,
        cwd=where, SOURCE_DATE_EPOCH=committed,
    )  # fmt: skip
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """End the program if something is missing, or there that should not be."""
    package = CHECKOUT / "src" / "prefactor_agent"
    wanted = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.suffix == ".py" or path.name.endswith(ASSETS)
    }
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    if names != wanted:
        fail(f"{wheel.name} holds other files than the package: {sorted(names ^ wanted)}")
    with tarfile.open(sdist) as packed_source:
        tops = {name.split("/")[1] for name in packed_source.getnames() if "/" in name}
    if tops != IN_SDIST:
        fail(f"{sdist.name} holds other files than wanted: {sorted(tops ^ IN_SDIST)}")


def try_pythons(versions: Sequence[str], released: Sequence[Path], work: Path, out: Path) -> None:
    """Install and use both files on each version; the first environment is written down."""
    described = False
    for version in versions:
        python = shutil.which(f"python{version}")
        if python is None or not works(python):
            print(f"Python {version}: not installed here, not tried")
            continue
        for file in released:
            home = work / f"{version}-{file.suffix[1:]}"
            installed = install(python, home, file)
            run(installed, "-I", HERE / "session.py", home / "journal.db", cwd=home)
            print(f"Python {version}: {file.name} installed, a session traced")
        if not described:
            check_types(installed, home)
            describe(installed, out)
            described = True
        try_commands(
            installed, home, released[-1]
        )  # with the extras, so not before it is described
        print(f"Python {version}: demo, init on LiveKit's examples, and ui work from the wheel")
    if not described:
        fail(f"none of Python {', '.join(versions)} is installed here")


def works(python: str) -> bool:
    """Whether a name is more than a shim of pyenv's for a version that is not chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def install(python: str, home: Path, file: Path) -> Path:
    """Install a file in an empty environment, with what it asks for.

    Returns:
        The environment's Python.
    """
    run(python, "-m", "venv", home, cwd=home.parent)
    installed = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [installed, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, file, cwd=home)
    return installed


def check_types(installed: Path, home: Path) -> None:
    """Type-check a small program against the installed package."""
    checked = shutil.copy(HERE / "typed.py", home)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, checked]
    run(*command, cwd=home)
    print("mypy --strict takes a program that uses it")


def describe(installed: Path, out: Path) -> None:
    """Write the bill of materials and the licences of everything that came with the package."""
    bill = out / "bill-of-materials.cdx.json"
    run(
        sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
        "--output-file", bill, installed,
        cwd=out,
    )  # fmt: skip
    licences = run(installed, "-I", "-c", LICENCES, cwd=out)
    (out / "licences.txt").write_text(licences + "\n", encoding="utf-8")
    unknown = [line for line in licences.splitlines() if line.endswith("unknown")]
    print(f"{len(licences.splitlines())} packages came with it; licence unknown: {unknown or 0}")


LICENCES = """
from importlib.metadata import distributions
for package in sorted(distributions(), key=lambda package: package.name.lower()):
    about = package.metadata
    licence = about.get("License-Expression") or ", ".join(
        classifier.rpartition(" :: ")[2]
        for classifier in about.get_all("Classifier") or () if classifier.startswith("License ::")
    ) or (about.get("License") or "unknown").partition("\\n")[0]
    print(package.name, package.version, licence, sep="\\t")
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
