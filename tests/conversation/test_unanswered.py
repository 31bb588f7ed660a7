"""Which questions nobody answered, of calls written down by hand: times are seconds."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.conversation import Asked, End, Replied, unanswered


def ns(seconds: float | None) -> Any:
    return None if seconds is None else round(seconds * 1e9)


def asked(id_: str, began: float, **other: Any) -> Asked:
    """A second long, taken 0.3 s after it, by a hook that is done at once."""
    taken = other.pop("taken", began + 1.3)
    done = other.pop("hook_done", taken)
    return Asked(id_, ns(began), ns(began + 1), ns(taken), ns(done), **{"words": True, **other})


def reply(
    of: str | None, created: float, ended: float | None, *heard: float, **other: Any
) -> Replied:
    of_ = (of,) if of is not None else ()
    return Replied(of_, ns(created), ns(ended), tuple(map(ns, heard)), **other)


ENDS = End(ns(30.0))
Q1, Q2 = asked("q1", 1.0), asked("q2", 10.0)
OK = reply("q2", 11.3, 15.0, 12.0)


CASES: dict[str, tuple[list[Asked], list[Replied], list[str]]] = {
    "nothing was ever made": ([Q1, Q2], [OK], ["q1"]),
    "it was heard": ([Q1, Q2], [reply("q1", 2.3, 5.0, 3.0), OK], []),
    "it was over, and not heard": ([Q1, Q2], [reply("q1", 2.3, 5.0), OK], ["q1"]),
    "something else was heard": ([Q1, Q2], [reply(None, 4.0, 5.0, 4.5), OK], []),
    "it was heard after the next answer": (
        [Q1, Q2],
        [reply("q1", 2.3, 20.0, 18.0), OK],
        [],
    ),
    "it was heard while the user still spoke": ([Q1, Q2], [reply("q1", 1.4, 5.0, 1.6), OK], []),
    "only the words before it were heard": (
        [Q1, Q2],
        [reply(None, 0.0, 0.9, 0.5), OK],
        ["q1"],
    ),
    "it was on its way": ([Q1, Q2], [reply("q1", 2.3, 10.4), OK], []),
    "it goes on": ([Q1, Q2], [reply("q1", 2.3, None), OK], []),
    "it was broken off, and the next turn begins late": (
        [Q1, Q2],
        [reply("q1", 2.3, 9.6, cut_off=True), OK],
        [],
    ),
    "a sound broke it off long before": (
        [Q1, Q2],
        [reply("q1", 2.3, 5.0, cut_off=True), OK],
        ["q1"],
    ),
    "the hook was at work": ([asked("q1", 1.0, hook_done=10.5), Q2], [OK], []),
    "it was taken late": ([asked("q1", 1.0, taken=10.5), Q2], [OK], []),
    "it was never taken": ([asked("q1", 1.0, taken=None), Q2], [OK], []),
    "it was declined": ([asked("q1", 1.0, declined=True), Q2], [OK], []),
    "it had no words": ([asked("q1", 1.0, words=False), Q2], [OK], []),
    "tools wanted no words": ([Q1, Q2], [reply("q1", 2.3, 5.0, declined=True), OK], []),
    "of two replies, the last wanted some": (
        [Q1, Q2],
        [reply("q1", 2.3, 4.0, declined=True), reply("q1", 2.2, 5.0), OK],
        ["q1"],
    ),
    "a sound without words lies between": (
        [Q1, asked("noise", 4.0, words=False), Q2],
        [OK],
        ["q1"],
    ),
    "words that were not taken lie between": (
        [Q1, asked("more", 4.0, taken=None), Q2],
        [reply("q1", 2.3, 4.2), OK],
        [],
    ),
}


@pytest.mark.parametrize("questions, replies, expected", CASES.values(), ids=CASES.keys())
def test_what_came_between_two_questions(
    questions: list[Asked], replies: list[Replied], expected: list[str]
) -> None:
    found = unanswered(questions, replies, ENDS)
    assert [one.id for one in found] == expected
    assert unanswered(questions[::-1], replies[::-1], ENDS) == found
    # Of a call that goes on, what was said last is not judged, nor a question without a reply.
    known = [one.id for one in unanswered(questions, replies, None)]
    assert known == [id_ for id_ in expected if any(id_ in one.questions for one in replies)]


@pytest.mark.parametrize(
    "end, replies, counts",
    [
        (End(ns(6.9)), [], False),
        (End(ns(7.1)), [], True),
        (End(ns(7.1)), [reply("q1", 2.3, None)], True),
        (End(ns(2.5), failed=True), [], True),
        (End(ns(20.0)), [reply("q1", 2.3, 19.9, worked=True)], True),
        (End(ns(20.0), by_program=True), [reply("q1", 2.3, 19.9, worked=True)], False),
        (End(ns(20.0), by_program=True), [reply("q1", 2.3, 3.0, worked=True)], True),
        (End(ns(20.0), by_program=True), [reply("q1", 2.3, 19.9)], True),
        (End(ns(20.0)), [reply("q1", 2.3, 19.9, 19.0)], False),
        (None, [reply("q1", 2.3, 19.9)], False),
    ],
)
def test_the_last_question_of_a_call(end: End | None, replies: list[Replied], counts: bool) -> None:
    assert bool(unanswered([Q1], replies, end)) == counts


def test_how_long_the_user_waited_in_vain() -> None:
    found = unanswered([Q1, Q2], [], ENDS)
    assert [(one.id, one.waited_us) for one in found] == [("q1", 8_000_000), ("q2", 19_000_000)]


@pytest.mark.parametrize("until, expected", [(None, ["q1"]), (2.3, []), (2.2, ["q1"])])
def test_what_a_machine_said_is_no_question(until: float | None, expected: list[str]) -> None:
    found = unanswered([Q1, Q2], [OK], ENDS, ns(until))
    assert [one.id for one in found] == expected


def test_words_whose_sound_another_turn_has_are_that_turns() -> None:
    late = Asked("late", ns(3.0), None, ns(3.1), ns(3.1), words=True)
    assert [one.id for one in unanswered([Q1, late, Q2], [OK], ENDS)] == ["q1"]
    heard = reply("q1", 3.1, 6.0, 4.0)  # made for the late words: their sound is that of q1
    assert unanswered([Q1, late, Q2], [heard, OK], ENDS) == []
