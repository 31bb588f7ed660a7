"""Pickups on timelines written by hand, in milliseconds after the caller's arrival, and on random
ones."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation.turns import BASE, MS, model, moments, ms, present, reply, voice
from prefactor_agent.conversation import (
    AgentSide,
    Arrival,
    Part,
    Pickup,
    Segment,
    Setup,
    Speech,
    arrived,
    clocks_apart,
    pickup_of,
    pickup_so_far,
)

ARRIVED = Arrival(BASE, "joined")


def setup(**at: float | None) -> Setup:
    return Setup(**{name: ms(moment) for name, moment in at.items()})


WARM = setup(
    process_began=-60_000,
    imported=-59_000,
    received=120,
    accepted=130,
    assigned=150,
    launched=160,
    session_started=200,
    connected=650,
    entered=660,
    enter_ended=900,
)
GREETING = reply(
    700,
    playing=1_400,
    models=[model(705, 1_000)],
    voices=[voice(704, 1_050, 1_300, silence=80)],
)


def speech(side: AgentSide, **more: object) -> Speech:
    made = Speech("greeting", side.created, (Part(side),), heard=True)
    return replace(made, **more)


def told(pickup: Pickup | None) -> dict[str, float]:
    assert pickup is not None
    return {name: us / 1000 for name, us in pickup.stages}


def test_a_greeting_of_an_agent_whose_process_was_ready() -> None:
    pickup = pickup_of(ARRIVED, WARM, [speech(GREETING)], None)
    assert told(pickup) == {
        "dispatch": 120,
        "accept": 10,
        "assignment": 20,
        "process": 10,
        "entrypoint": 40,
        "connect": 450,
        "session_start": 10,
        "on_enter": 40,
        "llm_queue": 5,
        "llm_ttft": 295,
        "first_sentence": 50,
        "tts_ttfb": 250,
        "playback": 100,
        "leading_silence": 80,
    }
    assert pickup is not None
    assert pickup.as_json() == {
        "ms": 1480.0,
        "stages": [{"name": name, "ms": took} for name, took in told(pickup).items()],
        "basis": {"from": "joined", "to": "audio"},
    }


def test_a_process_that_is_made_for_the_call() -> None:
    cold = replace(
        WARM,
        process_began=ms(1_150),
        imported=ms(2_400),
        launched=ms(2_900),
        session_started=ms(3_000),
        connected=ms(3_300),
        entered=ms(3_290),
        enter_ended=None,
    )
    side = reply(3_300, playing=3_500, voices=[voice(3_310, 3_310, 3_480, silence=20)])
    assert told(pickup_of(ARRIVED, cold, [speech(side)], None)) == {
        "dispatch": 120,
        "accept": 10,
        "assignment": 20,
        "process": 1_000,
        "import": 1_250,
        "prewarm": 500,
        "entrypoint": 100,
        "connect": 300,
        "first_sentence": 10,
        "tts_ttfb": 170,
        "playback": 20,
        "leading_silence": 20,
    }


def test_what_a_version_does_not_tell_is_in_the_stage_up_to_the_first_moment_of_our_own() -> None:
    untold = replace(WARM, received=None, accepted=None, assigned=None, launched=None)
    assert list(told(pickup_of(ARRIVED, untold, [speech(GREETING)], None)).items())[:2] == [
        ("dispatch", 200),
        ("connect", 450),
    ]
    cold = replace(untold, process_began=ms(90), imported=ms(150))
    assert list(told(pickup_of(ARRIVED, cold, [speech(GREETING)], None)).items())[:4] == [
        ("dispatch", 90),
        ("import", 60),
        ("entrypoint", 50),
        ("connect", 450),
    ]


def test_a_program_that_connects_by_itself_before_it_starts_the_session() -> None:
    own = replace(WARM, connected=ms(190))
    found = told(pickup_of(ARRIVED, own, [speech(GREETING)], None))
    assert (found["connect"], found["entrypoint"], found["session_start"]) == (30, 10, 460)


def test_what_the_program_does_before_it_has_the_agent_greet() -> None:
    late = reply(1_900, playing=2_000, voices=[voice(1_900, 1_900, 1_950, silence=0)])
    found = told(pickup_of(ARRIVED, WARM, [speech(late)], None))
    assert (found["on_enter"], found["program"]) == (240, 1_000)


def test_a_caller_who_speaks_first_ends_it() -> None:
    pickup = pickup_of(ARRIVED, WARM, [speech(GREETING)], ms(1_200))
    assert pickup is not None and pickup.until == "caller"
    assert pickup.us == 1_200_000
    assert told(pickup)["caller"] == 300
    assert pickup.exceeded(0.5) == {}
    early = pickup_of(ARRIVED, WARM, [], ms(140))
    assert told(early) == {"dispatch": 120, "accept": 10, "assignment": 10}
    late = pickup_of(ARRIVED, WARM, [speech(GREETING)], ms(1_500))
    assert late is not None and late.until == "audio"


def test_a_caller_who_comes_to_an_agent_that_is_there() -> None:
    there = Arrival(ms(1_000) or 0, "joined")
    side = replace(GREETING, playback_started=ms(1_400))
    pickup = pickup_of(there, WARM, [speech(side)], None)
    # The model had answered before anybody came.
    assert told(pickup) == {
        "first_sentence": 50,
        "tts_ttfb": 250,
        "playback": 100,
        "leading_silence": 80,
    }


def test_a_caller_who_comes_in_the_middle_of_a_sentence_has_not_waited() -> None:
    there = Arrival(ms(2_000) or 0, "joined")
    playing = Segment(ms(1_400) or 0, ms(3_000))
    pickup = pickup_of(there, WARM, [speech(GREETING, segments=(playing,))], None)
    assert pickup is not None and (pickup.us, pickup.until) == (0, "audio")
    over = Segment(ms(1_400) or 0, ms(1_900))
    assert pickup_of(there, WARM, [speech(GREETING, segments=(over,))], None) is None


def test_nothing_was_heard() -> None:
    assert pickup_of(ARRIVED, WARM, [], None) is None
    assert pickup_of(ARRIVED, WARM, [speech(GREETING, heard=False)], None) is None


def test_a_pickup_that_goes_on_has_the_stages_so_far() -> None:
    now = pickup_so_far(ARRIVED, replace(WARM, enter_ended=None), None, ms(3_000) or 0)
    assert told(now)["on_enter"] == 2_340
    assert now.exceeded(2.0) == {"pickup": 3.0}
    assert now.exceeded(3.0) == {} == now.exceeded(None)
    asked = replace(GREETING, models=[model(705, None)], voices=[], playback_started=None)
    waiting = pickup_so_far(ARRIVED, WARM, speech(asked), ms(2_705) or 0)
    assert told(waiting)["llm_ttft"] == 2_000


@pytest.mark.parametrize(
    "joined, after, before, apart",
    [
        (500, 400, 600, 0),
        (500, 500.9, 600, 0),  # the server rounds down
        (500, 700, 900, 200),  # its clock is behind
        (500, 100, 300, -200),  # it is ahead
        (500, None, None, 0),
    ],
)
def test_how_far_two_clocks_are_apart(
    joined: float, after: float | None, before: float | None, apart: float
) -> None:
    assert clocks_apart(ms(joined) or 0, ms(after), ms(before)) == apart * MS


def test_an_arrival_is_moved_by_as_much_as_the_clocks_are_apart_and_is_not_after_it_was_seen() -> (
    None
):
    assert arrived(ms(100), ms(900), 0, "seen") == Arrival(ms(100) or 0, "joined")
    assert arrived(ms(100), ms(900), 50 * MS, "seen") == Arrival(ms(150) or 0, "joined", 50 * MS)
    assert arrived(ms(1_000), ms(900), 0, "seen") == Arrival(ms(900) or 0, "joined", 100 * MS)
    assert arrived(None, ms(900), 0, "seen") == Arrival(ms(900) or 0, "seen")
    assert arrived(None, None, 0, "seen") is None
    moved = pickup_of(Arrival(BASE, "joined", 50 * MS), WARM, [speech(GREETING)], None)
    assert moved is not None and moved.as_json()["basis"]["clocks_apart_ms"] == 50.0


setups = st.builds(Setup, **{one.name: moments for one in fields(Setup)})
sides = st.builds(
    AgentSide,
    created=present,
    models=st.lists(
        st.builds(lambda c, f: model(0, None).__class__(c, f), present, moments), max_size=2
    ),
    voices=st.lists(
        st.builds(
            lambda c, t, f, q: voice(0, 0, None).__class__(c, t, f, q, ((0, f),)),
            present,
            moments,
            present,
            st.none() | st.integers(0, 500_000_000),
        ),
        max_size=2,
    ),
    playback_started=moments,
)


@given(present, setups, st.lists(sides, max_size=2), moments, present)
def test_stages_sum_to_the_whole_and_none_is_negative(
    at: int, prepared: Setup, greetings: list[AgentSide], caller: int | None, now: int
) -> None:
    speeches = [speech(side) for side in greetings]
    found = [
        pickup_of(Arrival(at, "joined"), prepared, speeches, caller),
        pickup_so_far(Arrival(at, "joined"), prepared, next(iter(speeches), None), max(at, now)),
    ]
    for pickup in found:
        if pickup is None:
            continue
        said = pickup.as_json()
        assert all(us > 0 for _, us in pickup.stages)
        assert sum(round(one["ms"] * 1000) for one in said["stages"]) == round(said["ms"] * 1000)
    ended = found[0]
    heard = [sound for one in speeches for sound, _ in one.stretches if sound >= at]
    ends = [*heard, *([max(at, caller)] if caller is not None else ())]
    assert (ended is None) == (not ends)
    if ended is not None:
        assert ended.us == min(ends) // 1000 - at // 1000
