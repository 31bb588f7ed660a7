"""The recording of a call as WAV, written by the command."""

from __future__ import annotations

import io
import stat
import wave
from pathlib import Path

import numpy as np
import pytest

from prefactor_agent.stored.recording import Recording
from prefactor_agent.view.export.wav import wav
from support import recordings
from support.recordings import Tone
from view import calls, journals
from view.commandline import run


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return journals.write(tmp_path / "journal.db", calls.spoken_call())


@pytest.fixture
def recorded(journal: Path) -> Recording:
    return recordings.write(
        journal, calls.SESSION, calls.us(0), 2.0, caller=[Tone(0, 0.5)], agent=[Tone(1, 2)]
    )


def test_export_writes_the_sound_of_a_call(
    journal: Path, recorded: Recording, tmp_path: Path
) -> None:
    file = tmp_path / "call.wav"
    done = run("export", "--format", "wav", "-o", file, journal=journal)
    assert (done.returncode, done.stdout) == (0, "")
    with wave.open(str(file)) as opened:
        assert opened.getparams()[:3] == (2, 2, 48_000)
        assert opened.getnframes() == round(recorded.duration_s * 48_000)
        sound = np.frombuffer(opened.readframes(1 << 30), np.int16).reshape(-1, 2)
    for channel, (begins, ends) in enumerate(((0, 0.5), (1, 2))):
        loud = np.flatnonzero(np.abs(sound[:, channel]) > 3_000) / 48_000
        assert (loud[0], loud[-1]) == pytest.approx((begins, ends), abs=0.02)


def test_export_writes_the_recording_as_it_is(
    journal: Path, recorded: Recording, tmp_path: Path
) -> None:
    file = tmp_path / "call.ogg"
    done = run("export", "--format", "ogg", "-o", file, journal=journal)
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_bytes() == recorded.path.read_bytes()


@pytest.mark.parametrize("format_", ["ogg", "wav"])
def test_exported_voices_are_for_their_owner_only(
    journal: Path, recorded: Recording, tmp_path: Path, format_: str
) -> None:
    new, there = tmp_path / "new", tmp_path / "there"
    there.touch(mode=0o644)
    for file in (new, there):
        done = run("export", "--format", format_, "-o", file, journal=journal)
        assert done.returncode == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = run("export", "--format", format_, "-o", "/dev/null", journal=journal)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_decoded_any_more_is_silence(recorded: Recording) -> None:
    recorded.path.write_bytes(recorded.path.read_bytes()[: recorded.bytes // 2])
    with wave.open(io.BytesIO(b"".join(wav(recorded)))) as opened:
        frames = opened.readframes(1 << 30)
    assert len(frames) == round(recorded.duration_s * 48_000) * 4
    assert not any(frames[-1000:])


def test_a_call_without_a_recording_is_refused_in_one_line(journal: Path) -> None:
    done = run("export", "--format", "wav", journal=journal)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "was not recorded" in line
