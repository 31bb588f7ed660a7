"""The tree of spans: no span outlives what it lies in."""

from __future__ import annotations

from prefactor_agent.core.span import Status
from prefactor_agent.record.spans.tree import SpanTree
from support.memory_sink import MemorySink


def tree() -> SpanTree:
    made = SpanTree(MemorySink())
    made.announce({})
    return made


def test_a_span_that_goes_on_after_its_parent_ends_with_it() -> None:
    spans = tree()
    begun = spans.root.started_ns
    turn = spans.begin("turn", "turn", None, {}, at=begun + 10)
    tool = spans.begin("tool", "tool", turn, {}, at=begun + 20)
    inner = spans.begin("tool", "inner", tool, {}, at=begun + 30)
    spans.end(turn, Status.COMPLETE, {}, at=begun + 40)
    assert spans.latest_end(tool) == spans.latest_end(inner) == begun + 40
    spans.end(inner, Status.COMPLETE, {}, at=begun + 90)
    spans.end(tool, Status.COMPLETE, {}, at=begun + 100)
    assert inner.finished_ns == tool.finished_ns == begun + 40


def test_what_begins_below_it_later_lies_in_the_session() -> None:
    spans = tree()
    begun = spans.root.started_ns
    turn = spans.begin("turn", "turn", None, {}, at=begun + 10)
    tool = spans.begin("tool", "tool", turn, {}, at=begun + 20)
    spans.end(turn, Status.COMPLETE, {}, at=begun + 40)
    result = spans.begin("result", "result", tool, {}, at=begun + 40)
    later = spans.begin("error", "error", tool, {}, at=begun + 41)
    assert (result.parent_id, later.parent_id) == (tool.id, spans.root.id)


def test_a_parent_ends_no_earlier_than_a_child_that_has_ended() -> None:
    spans = tree()
    begun = spans.root.started_ns
    turn = spans.begin("turn", "turn", None, {}, at=begun + 10)
    voice = spans.begin("tts", "tts", turn, {}, at=begun + 20)
    spans.end(voice, Status.COMPLETE, {}, at=begun + 50)
    spans.end(turn, Status.COMPLETE, {}, at=begun + 40)
    assert turn.finished_ns == begun + 50


def test_the_first_end_is_the_true_one() -> None:
    spans = tree()
    turn = spans.begin("turn", "turn", None, {})
    assert spans.end(turn, Status.COMPLETE, {})
    assert not spans.end(turn, Status.FAILED, {})
    assert turn.status is Status.COMPLETE
