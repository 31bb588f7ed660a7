"""Measures what many processes that write to one journal lose when some of them are killed.

`PYTHONPATH=tests python -m benchmarks.many_writers`: 100 processes for a minute. Each feeds calls
to the journal's writer as a recorder does, in real time: spans, words, and a level for each 20 ms
of audio; without LiveKit, of which two cores have no room for a hundred. Each second one is killed
(SIGKILL) and replaced, and all the while a reader reads the journal.

Each process writes down which spans it put, and after each round of the writer how many of them
were there when the round began. Afterwards the journal is held against that: what was there before
a round has to be in it, whole, and nothing twice."""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import logging
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prefactor_agent.config import Settings
from prefactor_agent.core.span import Span, SpanType, Status
from prefactor_agent.journal.reader import Journal, JournalError
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.stream import AudioLevels, Stream
from prefactor_agent.record.spans.tree import SpanTree

WRITERS = 100
SECONDS = 60.0
KILL_EVERY_S = 1.0
READ_EVERY_S = 0.25
FRAME_S = 0.02
WAITS_S = 30.0
"""How long the processes that are left may take to write the rest."""
WORDS = [f"word{number} " for number in range(60)]
BEGUN, ENDED = "begun", "ended"


class Noting(JournalWriter):
    """The writer of one process, which notes what it was given and what was written. Its notes are
    in the kernel's hands as soon as they are made, so they outlive the process."""

    def __init__(self, journal: Path, notes: Path) -> None:
        super().__init__(Settings(journal=journal))
        self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._put = 0

    def put(self, span: Span) -> None:
        super().put(span)
        state = BEGUN if span.open else ENDED
        self._note("put", span.session_id, span.id, state, str(time.monotonic_ns()))
        self._put += 1

    def _write_all(self) -> bool:
        there = self._put
        busy = super()._write_all()
        if self._retry is None and self._stopped is None:
            self._note("round", str(there))
        return busy

    def _note(self, *words: str) -> None:
        os.write(self._notes, (" ".join(words) + "\n").encode())


# In a process that writes


def _write_calls(journal: Path, notes: Path, stop: Path) -> None:
    writer = Noting(journal, notes)
    clock = _in_real_time()
    while not stop.exists():
        _call(writer, clock, stop)
    if not writer.flush(WAITS_S):
        raise SystemExit("not everything was written")


def _in_real_time() -> Iterator[None]:
    """Each item comes a frame's length after the one before."""
    due = time.monotonic() + random.random() * FRAME_S  # nothing secret
    while True:
        due += FRAME_S
        time.sleep(max(0.0, due - time.monotonic()))
        yield


def _call(writer: Noting, clock: Iterator[None], stop: Path) -> None:
    """A call of a few turns: what is put is what a recorder puts, in the same order."""
    tree = SpanTree(writer)
    tree.announce({"name": "livekit-session", "type": SpanType.SESSION.value})
    for index in range(1, 6):
        if stop.exists():
            break
        _user_turn(tree, clock, index)
        _assistant_turn(tree, clock, index)
    tree.end(tree.root, Status.COMPLETE, {"status": "completed"})


def _user_turn(tree: SpanTree, clock: Iterator[None], index: int) -> None:
    turn = tree.begin(SpanType.USER_TURN, "user_turn", None, {"turn_index": index})
    audio = AudioLevels(turn.started_ns)
    audio.sample_rate, audio.channels = 16_000, 1
    stt = tree.begin(SpanType.STT, "stt", turn, {"name": "stt"}, streams={"audio": audio})
    _heard(audio, clock, 75)
    tree.end(stt, Status.COMPLETE, {"transcript": "what are your hours"})
    tree.end(turn, Status.COMPLETE, {"transcript": "what are your hours"})


def _assistant_turn(tree: SpanTree, clock: Iterator[None], index: int) -> None:
    turn = tree.begin(SpanType.ASSISTANT_TURN, "assistant_turn", None, {"turn_index": index})
    output = Stream(turn.started_ns)
    llm = tree.begin(SpanType.LLM, "llm", turn, {"inputs": {}}, streams={"output": output})
    for word, _ in zip(WORDS, clock, strict=False):
        output.add(word)
    tree.end(llm, Status.COMPLETE, {"text": "".join(WORDS)})
    tool = tree.begin("livekit:tool:hours", "hours", turn, {"inputs": {"day": "monday"}})
    result = tree.begin(SpanType.TOOL_RESULT, "hours", tool, {"tool_name": "hours"})
    for span in (result, tool):
        tree.end(span, Status.COMPLETE, {"outputs": {"output": "9 to 6"}})
    text, audio = Stream(turn.started_ns), AudioLevels(turn.started_ns)
    audio.sample_rate, audio.channels = 24_000, 1
    tts = tree.begin(SpanType.TTS, "tts", turn, {}, streams={"text": text, "audio": audio})
    for word in WORDS:
        text.add(word)
    _heard(audio, clock, 100)
    tree.end(tts, Status.COMPLETE, {"characters": text.total})
    tree.end(turn, Status.COMPLETE, {"spoken_text": "".join(WORDS)})


def _heard(audio: AudioLevels, clock: Iterator[None], frames: int) -> None:
    """Audio passes, each frame of which is one sample longer than the one before."""
    for number, _ in zip(range(frames), clock, strict=False):
        audio.add((320 + number) << 8 | 40)


# In the process that reads


def _read(journal: Path, notes: Path, stop: Path) -> None:
    """Read the journal until the end. Notes what failed, and how long each reading took."""
    failed: list[str] = []
    took: list[float] = []
    while not stop.exists():
        time.sleep(READ_EVERY_S)
        if not journal.exists():
            continue
        begun = time.perf_counter()
        try:
            with contextlib.closing(Journal(journal)) as opened:
                for session in opened.sessions(3):
                    opened.call(session.id)
        except JournalError as error:
            failed.append(str(error))
        else:
            took.append((time.perf_counter() - begun) * 1e3)
    notes.write_text(json.dumps({"failed": failed, "took": took}))


# In the process that kills and compares


@dataclass
class Figures:
    """What became of all that was put."""

    killed: int = 0
    spans: int = 0
    lost: int = 0
    """Spans that are not in the journal as they were when a round began that was completed."""
    doubled: int = 0
    """Streams in which something is missing from the middle, or more than passed, or twice."""
    strangers: int = 0
    """Spans in the journal that nobody put."""
    readings: int = 0
    failed_readings: list[str] = field(default_factory=list)
    """What each said."""
    slowest_reading_ms: float = 0.0
    waited_s: list[float] = field(default_factory=list)
    """Of each process that was killed: for how long the oldest beginning or end had waited."""


def run(writers: int, seconds: float, kill_every: float) -> Figures:
    """Have them write, kill one now and then, and look what is in the journal afterwards."""
    gc.freeze()
    found = Figures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal, stop = folder / "journal.db", folder / "stop"
        numbers = itertools.count()
        killed_at: dict[Path, int] = {}
        running: dict[int, Path] = {}

        def begin() -> None:
            notes = folder / f"writer-{next(numbers)}"
            running[_fork(lambda: _write_calls(journal, notes, stop))] = notes

        for _ in range(writers):
            begin()
        reader = _fork(lambda: _read(journal, folder / "reader", stop))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(kill_every * random.uniform(0.5, 1.5))  # nothing secret
            pid = random.choice(list(running))
            os.kill(pid, signal.SIGKILL)
            killed_at[running.pop(pid)] = time.monotonic_ns()
            os.waitpid(pid, 0)
            begin()
        stop.touch()
        for pid in (*running, reader):
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                raise SystemExit("a process failed")
        found.killed = len(killed_at)
        with contextlib.closing(Journal(journal)) as opened:
            for notes in (*killed_at, *running.values()):
                _compare(opened, notes, killed_at.get(notes), found)
        read = json.loads((folder / "reader").read_text())
        found.readings, found.failed_readings = len(read["took"]), read["failed"]
        found.slowest_reading_ms = max(read["took"], default=0.0)
    return found


def _fork(work: object) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        random.seed()
        assert callable(work)
        work()
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def _compare(journal: Journal, notes: Path, killed_at: int | None, found: Figures) -> None:
    """Hold the journal against the notes of one process."""
    put: list[tuple[str, str, bool]] = []
    put_at: list[int] = []
    written = 0
    for line in notes.read_text().split("\n")[:-1] if notes.exists() else ():
        kind, *words = line.split(" ")
        if kind == "round":
            written = int(words[0])
        else:
            put.append((words[0], words[1], words[2] == ENDED))
            put_at.append(int(words[3]))
    if killed_at is None:
        written = len(put)
    else:
        waiting = put_at[written:]
        found.waited_s.append((killed_at - waiting[0]) / 1e9 if waiting else 0.0)
    kept = put[:written]
    wanted = {span: any(ended for _, id_, ended in kept if id_ == span) for _, span, _ in kept}
    given = {span for _, span, _ in put}
    stored = {
        span.id: span
        for session in {session for session, _, _ in kept}
        for span in journal.call(session)
    }
    found.spans += len(wanted)
    found.strangers += len(stored.keys() - given)
    for id_, ended in wanted.items():
        span = stored.get(id_)
        if span is None or (ended and span.status == "active"):
            found.lost += 1
    for span in stored.values():
        whole = span.status != "active"
        for name in span.result.get("streams", {}):
            columns = span.stream(name)
            passed = columns["text"] if "text" in columns else columns["size"]
            expected = WORDS if "text" in columns else list(range(320, 420))
            if passed != expected[: len(passed)] or (
                whole and not _is_whole(passed, name, span.type)
            ):
                found.doubled += 1


def _is_whole(passed: list[object], name: str, type_: str) -> bool:
    if name != "audio":
        return len(passed) == len(WORDS)
    return len(passed) == (75 if type_ == SpanType.STT else 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--kill-every", type=float, default=KILL_EVERY_S)
    parser.add_argument("--json", action="store_true", help="for the test")
    chosen = parser.parse_args()
    logging.disable(logging.WARNING)
    found = run(chosen.writers, chosen.seconds, chosen.kill_every)
    if chosen.json:
        print(json.dumps(asdict(found)))
        return
    table = Table(
        "",
        "",
        "target",
        "",
        title=f"{chosen.writers} writers for {chosen.seconds:.0f} s, {found.killed} of them killed",
    )
    marks = {True: "✓", False: "✗"}
    failed = len(found.failed_readings)
    for what, count in (
        (f"flushed and lost, of {found.spans:,} spans", found.lost),
        ("spans that nobody put", found.strangers),
        ("streams with something doubled or missing", found.doubled),
        (f"failed readings, of {found.readings + failed}", failed),
    ):
        table.add_row(what, str(count), "0", marks[count == 0])
    table.add_row("slowest reading", f"{found.slowest_reading_ms:.0f} ms", "", "")
    if found.waited_s:
        median, worst = statistics.median(found.waited_s), max(found.waited_s)
        told = f"{median:.2f} s (worst {worst:.2f})"
        table.add_row("lost with a killed process: the last", told, "0.1 s and a write", "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
