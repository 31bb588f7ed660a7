"""Of random calls to agents as users write them, the trace has each silence that was heard, and no
other, to 50 ms; and what it was spent on takes no longer than the call's script says."""

from __future__ import annotations

import pytest

from field.random_sessions import (
    HOOK_SECONDS,
    TOOL_SECONDS,
    Plan,
    Stretch,
    Truth,
    call,
    plan,
)
from prefactor_agent.core import guard
from prefactor_agent.testing import collecting
from prefactor_agent.view.model.calltree import CallTree, build
from prefactor_agent.view.model.silences import silences
from prefactor_agent.view.model.summarize import summarize
from support import virtual_time

SEEDS = range(40)
NEAR = 0.05
LEAST = 0.25
"""Of the silences within a speech, the shorter ones are not kept."""


@pytest.mark.parametrize("seed", SEEDS)
def test_the_silences_of_a_random_call(seed: int) -> None:
    made = plan(seed)
    with collecting() as trace:
        truth = virtual_time.run(call(made), look=1e-6)
        assert not guard.failures
        spans = trace.calls[0].spans
    assert not [span.type for span in spans if span.status == "active"]
    tree = build(spans)
    assert tree.session is not None
    found = [
        Stretch(seconds(tree, silence.begins_us), seconds(tree, silence.ends_us))
        for silence in silences(tree).all
    ]
    gaps = list(gaps_of(tree))
    true = true_silences(truth)
    for one in true if made.hook != "declines" else ():  # nobody waits for some of them
        told = any(same(one, other) for other in (*found, *gaps))
        assert told or one.ended - one.began < LEAST, one
    for one in found:
        assert any(same(one, other) for other in true) or at_once(truth, one.ended), one
    check_stages(made, tree)
    check_summary(tree)


def true_silences(truth: Truth) -> list[Stretch]:
    """From the caller's last word to the agent's first sound after it."""
    found = []
    for sound in truth.agent:
        before = [one for one in truth.caller if one.began < sound]
        if not before or before[-1].ended > sound or at_once(truth, sound):
            continue
        asked = before[-1]
        answered = any(asked.ended <= other < sound for other in truth.agent)
        if not answered:
            found.append(Stretch(asked.ended, sound, asked.words))
    return found


def at_once(truth: Truth, moment: float) -> bool:
    """Whether the caller begins or ends at a moment: who was first, nobody can say."""
    edges = (edge for one in truth.caller for edge in (one.began, one.ended))
    return any(abs(moment - edge) < NEAR for edge in edges)


def gaps_of(tree: CallTree) -> list[Stretch]:
    """The silences within speeches."""
    found = []
    for span in tree.spans("assistant_turn"):
        for gap in span.result.get("gaps", []):
            began = seconds(tree, tree.started_us + gap["at_us"])
            found.append(Stretch(began, began + gap["ms"] / 1000))
    return found


def same(one: Stretch, other: Stretch) -> bool:
    return abs(one.began - other.began) < NEAR and abs(one.ended - other.ended) < NEAR


def seconds(tree: CallTree, us: int) -> float:
    """A moment of the call on the loop's clock, which stood at 0 when the call began."""
    return (us - tree.started_us) / 1e6


def check_stages(made: Plan, tree: CallTree) -> None:
    limits = {
        "vad": made.vad,
        "transcript": 0.1,
        "endpointing": 0.8,
        "on_user_turn_completed": HOOK_SECONDS,
        "llm_queue": 0.0,
        "llm_ttft": made.thinks,
        "llm_tool_call": 0.0,
        "first_sentence": 0.0,
        "tts_ttfb": made.first_byte,
        "playback": 0.0,
        "leading_silence": made.leads,
        "unattributed": 0.0,
    }
    for silence in silences(tree).all:
        assert sum(stage.ms for stage in silence.stages) == pytest.approx(silence.ms)
        for stage in silence.stages:
            kind = stage.name.rstrip("_23456789")
            limit = TOOL_SECONDS if kind.startswith("tool:") else limits.get(kind)
            if kind != "tool:task" and limit is not None:
                assert stage.ms <= (limit + NEAR) * 1000, stage


def check_summary(tree: CallTree) -> None:
    """The session's own span says the same as the views."""
    assert tree.session is not None
    summary, said = summarize(tree), tree.session.result.get("latency", {})
    assert said.get("turns", 0) == len(silences(tree).all)
    assert said.get("worst_ms") == summary.worst_ms
    if summary.median_ms is not None:
        assert said["median_ms"] == pytest.approx(summary.median_ms, abs=0.001)
