"""Random calls: what is made of the facts is what was heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversation.simulated import TrueSilence, Truth, calls
from conversation.timelines import Call, ns, shuffled
from prefactor_agent.conversation import (
    Timeline,
    latency_of,
    question_of,
    silences_ended_by,
)


def found(timeline: Timeline, until: int | None = None) -> list[TrueSilence]:
    """The silences that had ended by a moment, in hundredths of a second, in order."""
    silences = []
    for speech in timeline.speeches:
        for ended in silences_ended_by(timeline, speech):
            end, sound = ended.question.side.end(), ended.part.side.sound()
            assert end is not None and sound is not None
            if sound[0] >= end[0]:
                silence = TrueSilence(
                    ended.question.id, speech.id, _hundredths(end[0]), _hundredths(sound[0])
                )
                silences.append(silence)
    ended_by_then = [one for one in silences if until is None or one.ended <= until]
    return sorted(ended_by_then, key=lambda one: one.ended)


def _hundredths(moment: int) -> int:
    at, rest = divmod(moment - ns(0), 10_000_000)
    assert rest == 0
    return at


@given(calls())
def test_each_silence_is_the_one_that_was_heard(drawn: tuple[Call, Truth]) -> None:
    call, truth = drawn
    assert found(call.timeline()) == list(truth.silences())


@given(calls())
def test_each_speech_answers_the_question_that_it_was_made_for(
    drawn: tuple[Call, Truth],
) -> None:
    call, truth = drawn
    assert _answers(call.timeline()) == truth.answers


def _answers(timeline: Timeline) -> dict[str, str | None]:
    answered = {one.id: question_of(timeline, one) for one in timeline.speeches}
    return {id_: one.id if one is not None else None for id_, one in answered.items()}


@given(calls())
def test_the_stages_of_a_silence_are_positive_and_sum_to_it(drawn: tuple[Call, Truth]) -> None:
    call, truth = drawn
    timeline = call.timeline()
    first: dict[str, TrueSilence] = {}
    for silence in truth.silences():
        first.setdefault(silence.ended_by, silence)
    for speech in timeline.speeches:
        latency = latency_of(timeline, speech)
        if latency is None or latency.early:
            assert speech.id not in first
            continue
        silence = first[speech.id]
        assert (latency.start, latency.end) == (ns(silence.began / 100), ns(silence.ended / 100))
        assert latency.perceived_us == (silence.ended - silence.began) * 10_000
        assert sum(stage.us for stage in latency.stages) == latency.perceived_us
        assert all(stage.us > 0 for stage in latency.stages)


@given(calls())
def test_a_sound_of_the_user_is_followed_by_one_silence_at_most(
    drawn: tuple[Call, Truth],
) -> None:
    call, _ = drawn
    silences = found(call.timeline())
    assert len({(one.question, one.began) for one in silences}) == len(silences)
    assert len({(one.ended_by, one.ended) for one in silences}) == len(silences)


@given(calls(), st.integers(0, 3000))
def test_half_a_call_does_not_contradict_all_of_it(drawn: tuple[Call, Truth], at: int) -> None:
    call, truth = drawn
    half = call.timeline(until=at / 100)
    so_far, all_of_it = found(half, until=at), found(call.timeline())
    assert set(so_far) <= set(all_of_it)
    # That the user has stopped is known only once the VAD is sure of it.
    typed = {user.id for user in call.users if user.side.get("typed")}
    known = [
        one
        for one in all_of_it
        if one.ended <= at and (one.question in typed or one.began + 20 <= at)
    ]
    assert set(known) <= set(so_far)
    assert _answers(half).items() <= truth.answers.items()


@given(calls(), st.randoms(use_true_random=False))
def test_the_order_in_which_speeches_are_put_down_does_not_matter(
    drawn: tuple[Call, Truth], random: object
) -> None:
    timeline = drawn[0].timeline()
    order = list(range(len(timeline.speeches)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = shuffled(timeline, order)
    assert found(mixed) == found(timeline)
    for speech in timeline.speeches:
        assert latency_of(mixed, speech) == latency_of(timeline, speech)
