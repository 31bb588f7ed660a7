"""Who broke a speech off, and for how long both voices were heard."""

from __future__ import annotations

import pytest

from conversation.timelines import Call, ns
from prefactor_agent.conversation import Segment, cut_in_us, interrupted_by, overlap_of
from prefactor_agent.conversation.interruptions import Overlap, Pause


def spoken_over(
    call: Call,
    speech: str,
    began: float,
    ended: float | None = None,
    pauses: list[Pause] | None = None,
) -> Overlap | None:
    found = call.timeline().speech(speech)
    assert found is not None
    return overlap_of(found.segments, pauses or [], ns(began), None if ended is None else ns(ended))


def cut_in(call: Call, speech: str) -> int | None:
    found = call.timeline().speech(speech)
    assert found is not None
    return cut_in_us(found)


# Who


@pytest.mark.parametrize("source", ["audio_activity", "user_turn"])
def test_livekits_word_that_the_user_broke_it_off_is_taken(source: str) -> None:
    assert interrupted_by(source, spoken_over=False, user_spoke=False) == "user"


def test_the_program_broke_off_what_nobody_spoke_over() -> None:
    assert interrupted_by("programmatic", spoken_over=False, user_spoke=False) == "program"
    assert interrupted_by(None, spoken_over=False, user_spoke=False) == "program"


def test_the_user_broke_off_what_livekit_stops_because_the_user_spoke() -> None:
    """LiveKit calls ``interrupt()`` itself when the user's turn is over while a tool runs."""
    assert interrupted_by("programmatic", spoken_over=False, user_spoke=True) == "user"
    assert interrupted_by(None, spoken_over=False, user_spoke=True) == "user"


def test_sound_over_the_audio_counts_only_where_livekit_says_nothing() -> None:
    """A program may break off what somebody coughed over; LiveKit before 1.8 does not say who."""
    assert interrupted_by("programmatic", spoken_over=True, user_spoke=False) == "program"
    assert interrupted_by(None, spoken_over=True, user_spoke=False) == "user"


# For how long


def test_a_barge_in_lasts_until_the_agents_last_sound() -> None:
    call = Call()
    a1 = call.say(1.0, 2.3, interrupted=True, played=1.25)  # with 50 ms of silence before it
    assert spoken_over(call, a1, began=2.0, ended=3.0) == Overlap(200_000, 200_000)


def test_a_barge_in_ends_where_the_audio_was_cut_though_the_output_says_so_later() -> None:
    call = Call()
    a1 = call.say(1.0, 2.5, interrupted=True, played=1.25)
    assert spoken_over(call, a1, began=2.0, ended=3.0) == Overlap(200_000, 200_000)


def test_a_barge_in_over_a_speech_that_was_paused_before_counts_the_pause() -> None:
    """It stood still for half a second: what was played ends so much later."""
    call = Call()
    a1 = call.say(1.0, 2.8, interrupted=True, played=1.25)
    pauses = [(ns(1.3), "paused"), (ns(1.8), "resumed"), (ns(1.8), "false_interruption_resumed")]
    assert spoken_over(call, a1, began=2.5, pauses=pauses) == Overlap(200_000, 200_000)


def test_a_pause_that_nobody_ended_counts_for_nothing() -> None:
    call = Call()
    a1 = call.say(1.0, 2.8, interrupted=True, played=1.25)
    assert spoken_over(call, a1, began=2.0, pauses=[(ns(2.2), "paused")]) == Overlap(
        200_000, 200_000
    )


def test_words_over_a_speech_that_goes_on_overlap_and_are_no_barge_in() -> None:
    call = Call()
    a1 = call.say(1.0, 3.0)
    assert spoken_over(call, a1, began=1.5, ended=1.9) == Overlap(400_000, None)


def test_words_between_two_parts_of_a_speech_are_over_neither() -> None:
    call = Call()
    a1 = call.say(1.0, 1.5, then=[(3.0, 3.5)])
    assert spoken_over(call, a1, began=2.0, ended=2.4) is None


def test_words_over_the_second_part_are_measured_against_that() -> None:
    call = Call()
    a1 = call.say(1.0, 1.5, then=[(3.0, 4.0)], interrupted=True)
    assert spoken_over(call, a1, began=3.6, ended=4.5) == Overlap(400_000, 400_000)


def test_a_speech_that_nobody_spoke_over_has_no_overlap() -> None:
    assert overlap_of([Segment(ns(1.0), ns(2.0))], [], None, None) is None


def test_an_end_that_was_not_told_leaves_the_overlap_open() -> None:
    assert overlap_of([Segment(ns(1.0))], [], ns(1.5), ns(1.8)) is None


# An agent that cuts in


def test_an_agent_that_cuts_in_on_a_user_who_goes_on_is_heard_over_the_user() -> None:
    call = Call()
    call.user(0.3, 2.0, committed=2.3)
    a1 = call.say(1.5, 2.8)
    assert call.silences() == []
    assert call.latency(a1) is None
    assert cut_in(call, a1) == 500_000


def test_an_agent_that_stops_before_the_user_does_was_heard_over_the_user_all_the_time() -> None:
    call = Call()
    call.user(0.3, 3.0, committed=3.3)
    assert cut_in(call, call.say(1.5, 1.9)) == 400_000


def test_an_agent_that_speaks_after_the_user_stopped_did_not_cut_in() -> None:
    """The VAD was not sure yet: that the user had stopped shows a moment later."""
    call = Call()
    call.user(0.3, 0.7, committed=1.2)
    assert cut_in(call, call.say(0.8, 1.1)) is None
    assert cut_in(call, call.say(1.4, 1.6)) is None
