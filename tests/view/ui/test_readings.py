"""When a period is read again, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefactor_agent.journal.reader import JournalPlace
from prefactor_agent.view.ui.overview import OverviewPages
from prefactor_agent.view.ui.question import Question
from prefactor_agent.view.ui.readings import FRESH_S, KEPT, SHARE, Readings
from view.calls import us
from view.journals import write
from view.ui.overview_page import OverviewPage
from view.versions import call

ALL = Question(period="all")


class Reader:
    """Readings of a journal, whose time and changes the test tells."""

    def __init__(self, path: Path, took_s: float = 0.0) -> None:
        self.path, self.took_s = path, took_s
        self.version, self.now = 0, 0.0
        self.readings = Readings(self.place(), lambda: self.version, lambda: self.now)

    def place(self) -> JournalPlace:
        reader = self

        class Slow(JournalPlace):
            def open(self):  # type: ignore[no-untyped-def]
                reader.now += reader.took_s
                return super().open()

        return Slow(self.path)

    def count(self, question: Question = ALL) -> int:
        return self.readings.of(question).calls.count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "j.db", call("a", "v1", [800]))


def test_what_has_not_changed_is_not_read_again(path: Path) -> None:
    reader = Reader(path)
    first = reader.readings.of(ALL)
    assert reader.readings.of(ALL) is first
    assert reader.readings.of(Question(period="all", agent="Shop", version="v1")) is first
    reader.now += FRESH_S + 1
    assert reader.readings.of(ALL) is not first, "a period that ends now has gone on"


def test_what_has_changed_is_read_again(path: Path) -> None:
    reader = Reader(path)
    assert reader.count() == 1
    write(path, call("b", "v1", [900]))
    reader.version += 1
    assert reader.count() == 2


def test_what_takes_long_is_read_less_often(path: Path) -> None:
    reader = Reader(path, took_s=5)
    assert reader.count() == 1
    write(path, call("b", "v1", [900]))
    reader.version += 1
    reader.now += 5 * SHARE - 1
    assert reader.count() == 1
    reader.now += 2
    assert reader.count() == 2


def test_few_readings_are_kept(path: Path) -> None:
    reader = Reader(path)
    first = reader.readings.of(ALL)
    for day in range(KEPT):
        reader.count(Question(period="dates", begin=f"2026-11-0{day + 1}"))
    assert reader.readings.of(ALL) is not first


def test_the_period_before_is_as_long(path: Path) -> None:
    reader = Reader(path)
    asked = Question(period="dates", begin="2026-11-22T00:00", end="2026-11-24T00:00")
    reading = reader.readings.of(asked)
    earlier = reader.readings.before(reading, asked)
    assert earlier is not None
    assert (reading.calls.count, earlier.calls.count) == (0, 1)  # of 21 November
    assert reading.begin_us is not None and reading.end_us is not None
    assert earlier.end_us == reading.begin_us
    assert earlier.begin_us == 2 * reading.begin_us - reading.end_us
    assert reader.readings.before(reader.readings.of(ALL), ALL) is None


def test_intervals_are_of_the_page_that_asks_for_them(path: Path) -> None:
    many = [[call(f"{v}{n}", v, [800.0 + n, 900.0]) for n in range(12)] for v in ("v2", "v3")]
    write(path, *many[0], *many[1])
    reader = Reader(path)
    pages = OverviewPages(reader.place(), reader.readings)
    asked = Question(period="all", against="v2")
    quick = OverviewPage(pages.render(asked)[0])
    write(path, call("later", "v3", [5000], day=1))
    reader.version += 1
    number = int(quick.sure.rpartition("=")[2])
    sure = Question(period="all", against="v2", sure=True, reading=number)
    found = OverviewPage(pages.render(sure)[0])
    assert {name: values[:3] for name, values in found.differences.items()} == {
        name: values[:3] for name, values in quick.differences.items()
    }
    assert found.differences["dead air/perceived/p95_ms"][3] is not None
    newer = OverviewPage(pages.render(asked)[0])
    assert newer.waits and newer.sure != quick.sure
    pages.render(Question(period="all", against="v2", sure=True))
    assert not OverviewPage(pages.render(asked)[0]).waits, "what was worked out is kept"


def test_a_question_is_read_from_an_address_and_written_to_one() -> None:
    asked = Question.of({"period": "30d", "begin": "2026-11-01", "agent": " Shop ", "reading": "x"})
    assert asked == Question(period="30d", agent="Shop")
    assert asked.address(version="1.5 β", against="1.4") == (
        "/overview?period=30d&agent=Shop&version=1.5+%CE%B2&against=1.4"
    )
    assert Question.of({"begin": "2026-11-01"}).period == "dates"
    assert Question.of({}) == Question(period="7d")


def test_the_bounds_of_a_period() -> None:
    now, day = us(0), 86_400_000_000
    assert Question(period="7d").between(now) == (now - 7 * day, None)
    assert Question(period="7d").before(now) == (now - 14 * day, now - 7 * day)
    assert ALL.between(now) == (None, None)
    begins = round(1_795_132_800 * 1e6)  # 2026-11-20 00:00
    part = Question(period="dates", begin="2026-11-20T00:00", end="2026-11-21T00:00")
    assert part.between(now) == (begins, begins + day)
    assert part.during(begins, begins + day) == (
        "/overview?period=dates&begin=2026-11-20T00%3A00&end=2026-11-21T00%3A00"
    )
