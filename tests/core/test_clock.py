"""One clock: monotonic, anchored once."""

import time

from prefactor_agent.core import clock


def test_a_moment_is_dated_within_a_millisecond() -> None:
    before = time.time_ns() // 1000
    moment = clock.to_unix_us(clock.now_ns())
    assert before - 1_000 < moment < time.time_ns() // 1000 + 1_000


def test_stepping_the_wall_clock_moves_nothing(monkeypatch) -> None:
    before = clock.to_unix_us(clock.now_ns())
    true_time = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_time() - 3_600_000_000_000)
    monkeypatch.setattr(time, "time", lambda: true_time() / 1e9 - 3600)
    after = clock.to_unix_us(clock.now_ns())
    assert 0 <= after - before < 1_800_000_000


def test_a_stamp_of_livekits_is_placed_backwards_from_now(monkeypatch) -> None:
    monkeypatch.setattr(clock, "now_ns", lambda: 5_000_000_000)
    monkeypatch.setattr(time, "time", lambda: 1_750_000_000.5)
    assert clock.from_wall(1_750_000_000.25) == 4_750_000_000


def test_dates_are_rfc_3339_with_six_digits() -> None:
    assert clock.unix_us_to_rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert clock.unix_us_to_rfc3339(1_795_238_460_000_001) == "2026-11-21T05:21:00.000001Z"
