from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored import recording
from support import recordings
from support.recordings import Tone
from view import calls, journals

BEGINS_US = 1_700_000_000_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_the_recording_of_a_call_is_found_by_its_id(journal: Path) -> None:
    call = calls.spoken_call()
    journals.write(journal, call)
    root = call[0]
    written = recordings.write(journal, root.session_id, root.started_us - 250_000, 2.0)
    source = Journal(journal)
    try:
        found = source.recording(root.session_id)
        assert found is not None
        assert found == written
        assert found.path == journal.with_name("journal.db-audio") / f"{root.session_id}.ogg"
        assert found.offset_ms(root.started_us) == -250.0
        assert found.duration_s == pytest.approx(2.0, abs=0.02)
        assert found.bytes == found.path.stat().st_size
        assert source.recording("another") is None
        assert source.recording("../another") is None
    finally:
        source.close()


def test_a_recording_is_beside_the_journal_that_a_link_leads_to(
    journal: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "calls.db"
    journal.symlink_to(real)
    assert recording.path_of(journal, "call") == real.with_name("calls.db-audio") / "call.ogg"


def test_each_voice_has_a_channel_and_lies_where_it_was_heard(journal: Path) -> None:
    written = recordings.write(
        journal, "call", BEGINS_US, 2.0, caller=[Tone(0.25, 0.75)], agent=[Tone(1.0, 1.5, 880)]
    )
    sound, rate = recordings.decode(written.path)
    for channel, begins, ends in ((0, 0.25, 0.75), (1, 1.0, 1.5)):
        loud = np.flatnonzero(np.abs(sound[channel]) > 0.1) / rate
        assert loud[0] == pytest.approx(begins, abs=0.01)
        assert loud[-1] == pytest.approx(ends, abs=0.01)


@pytest.mark.parametrize("left", [0.35, 0.6, 0.999])
def test_a_file_that_was_broken_off_plays_up_to_its_last_whole_page(
    journal: Path, left: float
) -> None:
    whole = recordings.write(journal, "call", BEGINS_US, 6.0, caller=[Tone(0, 6)])
    whole.path.write_bytes(whole.path.read_bytes()[: int(whole.bytes * left)])
    broken = recording.read(whole.path)
    assert broken is not None
    assert broken.begins_us == BEGINS_US
    sound, rate = recordings.decode(whole.path)
    assert broken.duration_s == pytest.approx(sound.shape[1] / rate, abs=0.02)
    assert 6.0 * left - 1.2 < broken.duration_s < 6.0


@pytest.mark.parametrize("size", [0, 20, 60, 100, 150])
def test_a_file_without_sound_is_no_recording(journal: Path, size: int) -> None:
    whole = recordings.write(journal, "call", BEGINS_US, 1.0)
    whole.path.write_bytes(whole.path.read_bytes()[:size])
    assert recording.read(whole.path) is None


@pytest.mark.parametrize("data", [b"RIFF" * 100, b"OggS" * 100, b"\0" * 1000])
def test_another_file_is_no_recording(journal: Path, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.ogg"
    path.write_bytes(data)
    assert recording.read(path) is None
    assert recording.read(tmp_path) is None
    assert recording.read(tmp_path / "missing.ogg") is None


def test_the_files_of_calls_are_told_from_others() -> None:
    assert recording.call_of(Path("x/019abc.ogg")) == "019abc"
    assert recording.call_of(Path("x/019abc.txt")) is None
    assert recording.call_of(Path("x/a b.ogg")) is None
