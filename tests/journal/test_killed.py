"""``kill -9`` while words and loudness pass: what was there when the last write began is kept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from prefactor_agent.journal.reader import Journal
from support.waiting import until

SCRIPT = """
    import os, sys, time
    from pathlib import Path
    from prefactor_agent.config import Settings
    from prefactor_agent.journal.writer import JournalWriter
    from prefactor_agent.record.spans.tree import SpanTree
    from prefactor_agent.record.spans.stream import AudioLevels, Stream

    added, took_levels = 0, False

    class Watched(JournalWriter):
        def _write_all(self):
            global took_levels
            before, took_levels = added, False
            super()._write_all()
            # In the kernel: survives the process.
            os.write(1, f"{before} {int(took_levels)}\\n".encode())

    kept = Watched(Settings(journal=Path(sys.argv[1])))
    takes_levels = kept._schedule.takes_levels
    def noted(**how):
        global took_levels
        took_levels = takes_levels(**how)
        return took_levels
    kept._schedule.takes_levels = noted
    call = SpanTree(kept)
    call.announce({"name": "livekit-session"})
    words, levels = Stream(call.root.started_ns), AudioLevels(call.root.started_ns)
    call.begin("livekit:tts", "tts", None, {}, streams={"text": words, "audio": levels})
    while True:
        words.add(f"{added} ")
        levels.add(240 << 8 | 30)
        added += 1
        time.sleep(0.005)
"""


def test_a_killed_process_keeps_what_passed_before_its_last_write(tmp_path: Path) -> None:
    path, notes = tmp_path / "journal.db", tmp_path / "notes"
    with notes.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path)], stdout=output
        )

    def rounds() -> list[tuple[int, bool]]:
        lines = notes.read_text().split("\n")[:-1]
        return [(int(count), took == "1") for count, took in map(str.split, lines)]

    # A few rounds, of which some leave the loudness for later.
    until(lambda: sum(took for _, took in rounds()) >= 3 and len(rounds()) >= 5)
    time.sleep(random.SystemRandom().uniform(0, 0.25))  # another moment between two rounds
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    journal = Journal(path)
    span = journal.call(journal.find("last"))[1]
    journal.close()
    words, levels = span.stream("text")["text"], span.stream("audio")["dbfs"]
    assert span.status == "active"
    assert words == [f"{number} " for number in range(len(words))]
    assert len(words) >= rounds()[-1][0]
    assert len(levels) >= max(count for count, took in rounds() if took)
    assert any(not took for _, took in rounds()), "loudness is not written in each round"
