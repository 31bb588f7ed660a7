"""When the journal is written: by what waits, and never for nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.core.span import Status
from prefactor_agent.journal import schedule, writer
from prefactor_agent.journal.reader import Journal, JournalError
from prefactor_agent.journal.schedule import Schedule
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.stream import AudioLevels, Stream
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.stored.span import StoredSpan
from support.waiting import PATIENCE, until

SAMPLES = 240 << 8 | 30
"""A frame of 240 samples at -30 dBFS, as a stream of loudness takes it."""


class Clock:
    """Stands for the module ``time``, and for the lock that the thread waits for."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits = 0
        self.rung = False

    def monotonic(self) -> float:
        return self.now

    def acquire(self, timeout: float) -> None:
        self.waits += 1
        if not self.rung:
            self.now += timeout
        self.rung = False

    def release(self) -> None:
        self.rung = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(schedule, "time", made)
    return made


@pytest.fixture
def plan(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Schedule:
    made = Schedule(0.1)
    monkeypatch.setattr(made, "_alarm", clock)
    return made


def waited(plan: Schedule, clock: Clock) -> float:
    begun = clock.now
    plan.wait()
    return round(clock.now - begun, 3)


def test_what_was_put_is_written_after_the_flush_interval(plan: Schedule, clock: Clock) -> None:
    plan.rest()
    plan.put()
    assert waited(plan, clock) == 0.1
    assert clock.waits == 2, "it is wakened once, and sleeps until then"


def test_many_spans_wake_the_thread_once(plan: Schedule, clock: Clock) -> None:
    plan.rest()
    plan.put()
    clock.rung = False
    for _ in range(100):
        clock.now += 0.0001
        plan.put()
    assert not clock.rung


def test_a_thread_that_wakes_soon_enough_is_left_asleep(plan: Schedule, clock: Clock) -> None:
    plan.rest(words=True)
    clock.now += 0.2
    plan.put()
    assert not clock.rung
    assert waited(plan, clock) == 0.05


def test_words_are_written_within_a_quarter_of_a_second(plan: Schedule, clock: Clock) -> None:
    plan.rest(words=True, idle=2.0)
    assert waited(plan, clock) == 0.25


def test_loudness_alone_is_written_each_three_fifths_of_a_second(
    plan: Schedule, clock: Clock
) -> None:
    for _ in range(3):
        assert plan.takes_levels(everything=False)
        plan.rest(levels=True)
        assert waited(plan, clock) == pytest.approx(0.6)


def test_loudness_waits_as_long_at_most_beside_words(plan: Schedule, clock: Clock) -> None:
    taken = []
    for _ in range(100):
        if plan.takes_levels(everything=False):
            taken.append(clock.now)
        plan.rest(words=True, levels=True)
        plan.wait()
    between = [after - before for before, after in pairwise(taken)]
    assert min(between) > 0.39
    assert max(between) < 0.61


def test_without_anything_open_nothing_wakes_the_thread_for_an_hour(
    plan: Schedule, clock: Clock
) -> None:
    plan.rest()
    plan._due = clock.now + 3_600
    plan.wait()
    assert clock.waits == 1


def test_what_is_asked_for_is_done_at_once(plan: Schedule, clock: Clock) -> None:
    plan.rest()
    plan.hurry()
    assert waited(plan, clock) == 0.0


def test_to_ring_twice_is_to_ring_once() -> None:
    plan = Schedule(0.1)
    plan.hurry()
    plan.hurry()
    plan.wait()


# With the writer


class Counted(JournalWriter):
    """Counts its rounds."""

    rounds = 0

    def _write_all(self) -> bool:
        self.rounds += 1
        return super()._write_all()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Counted]:
    made = Counted(Settings(journal=tmp_path / "journal.db"))
    yield made
    made.flush(PATIENCE)


def test_an_open_call_in_which_nothing_happens_costs_no_round(
    kept: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.1)
    call = SpanTree(kept)
    call.announce({})
    call.begin("livekit:user_turn", "user_turn", None, {})
    until(lambda: kept.rounds >= 2)  # the write, and the look for old calls
    rounds, thread = kept.rounds, kept._thread
    time.sleep(0.4)  # four times what is written after the flush interval
    assert kept.rounds == rounds
    turn = call.begin("livekit:user_turn", "user_turn", None, {})
    assert kept.flush(PATIENCE)
    assert kept._thread is thread, "within a call, the thread goes on"
    call.end(turn, Status.COMPLETE, {})
    call.end(call.root, Status.COMPLETE, {})


def test_nobody_has_to_flush(kept: Counted) -> None:
    call = SpanTree(kept)
    call.announce({})
    words, levels = Stream(call.root.started_ns), AudioLevels(call.root.started_ns)
    call.begin("livekit:tts", "tts", None, {}, streams={"text": words, "audio": levels})
    until(lambda: len(_spans(kept, call)) == 2)
    words.add("so far")
    levels.add(SAMPLES)
    until(lambda: _spans(kept, call)[1].stream("text").get("text") == ["so far"])
    until(lambda: _spans(kept, call)[1].stream("audio").get("dbfs") == [-30])


def test_a_flush_writes_words_and_loudness_too(kept: Counted) -> None:
    call = SpanTree(kept)
    call.announce({})
    words, levels = Stream(call.root.started_ns), AudioLevels(call.root.started_ns)
    call.begin("livekit:tts", "tts", None, {}, streams={"text": words, "audio": levels})
    for number in range(3):
        words.add(str(number))
        levels.add(SAMPLES)
        assert kept.flush(PATIENCE)
        assert _spans(kept, call)[1].stream("text")["text"] == [str(n) for n in range(number + 1)]
        assert _spans(kept, call)[1].stream("audio")["dbfs"] == [-30] * (number + 1)


def _spans(kept: Counted, call: SpanTree) -> list[StoredSpan]:
    with contextlib.suppress(JournalError), contextlib.closing(Journal(kept._path)) as journal:
        return journal.call(call.root.id)
    return []
