"""When the samples of streamed audio were played, and the waits for late ones."""

from __future__ import annotations

import pytest

from conversation.turns import MS
from prefactor_agent.conversation import Playout, join_short_waits


def test_audio_that_comes_in_time_is_played_through():
    playout = Playout(1000 * MS, [(0, 990 * MS)])
    assert playout.moment(0) == 1000 * MS
    assert playout.moment(170 * MS) == 1170 * MS
    assert playout.gaps() == []


def test_a_late_frame_delays_all_that_follows():
    # 10 ms came with the start, the next only 60 ms later: the sound at 170 ms is 50 ms late.
    playout = Playout(1000 * MS, [(0, 999 * MS), (10 * MS, 1050 * MS), (500 * MS, 1300 * MS)])
    assert playout.moment(5 * MS) == 1005 * MS
    assert playout.moment(170 * MS) == 1220 * MS
    assert playout.moment(600 * MS) == 1900 * MS
    assert playout.gaps() == [(1010 * MS, 50 * MS), (1550 * MS, 250 * MS)]
    assert playout.gaps(until=500 * MS) == [(1010 * MS, 50 * MS)]


def test_how_much_was_played_by_a_moment():
    playout = Playout(1000 * MS, [(0, 999 * MS), (10 * MS, 1050 * MS), (500 * MS, 1300 * MS)])
    for place in (0, 5 * MS, 10 * MS, 170 * MS, 500 * MS, 600 * MS):
        assert playout.position(playout.moment(place)) == place
    assert playout.position(900 * MS) == 0
    assert playout.position(1030 * MS) == 10 * MS  # it waits
    assert playout.position(1700 * MS) == 500 * MS


def test_audio_that_waited_for_its_turn_is_not_late():
    assert Playout(5000 * MS, [(0, 1000 * MS), (10 * MS, 1200 * MS)]).gaps() == []


def test_short_waits_are_told_with_the_next_and_no_time_is_lost():
    waits = [(10 * MS, MS // 4), (20 * MS, MS // 4), (30 * MS, MS // 2), (40 * MS, 5 * MS)]
    assert join_short_waits(waits, MS, 9) == [(29 * MS + MS // 2, MS), (40 * MS, 5 * MS)]
    assert join_short_waits([(10 * MS, MS // 4)], MS, 9) == []


@pytest.mark.parametrize("most", [1, 3, 10, 300])
def test_many_waits_are_told_in_few_words(most: int):
    waits = [(at * 20 * MS, (1 + at % 7) * MS) for at in range(200)]
    told = join_short_waits(waits, MS, most)
    assert 1 <= len(told) <= most
    # Where a told wait ends, as much was waited as in truth: what follows is where it was.
    ended = {at + lasted for at, lasted in waits}
    for count, (at, lasted) in enumerate(told, 1):
        assert at + lasted in ended
        until = sum(one for began, one in waits if began + one <= at + lasted)
        assert until == sum(one for _, one in told[:count])
