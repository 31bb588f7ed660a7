"""What holds of the trace of every call, held against what was heard of both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.calltree import CallTree, build
from prefactor_agent.view.model.silences import Silence, silences
from prefactor_agent.view.model.summarize import summarize

from .desk import TOOL_SECONDS
from .truth import Stretch, Truth

NEAR = 0.05
LEAST = 0.25
"""Of the silences within a speech, the shorter ones are not kept."""


def check_call(
    spans: list[StoredSpan], truth: Truth, limits: Mapping[str, float], *, all_awaited: bool = True
) -> None:
    """Hold a trace against what was heard.

    Args:
        limits: How long each stage takes at most, in seconds, by the script of the call.
        all_awaited: The agent wants to answer each question.
    """
    tree = build(spans)
    check_silences(tree, truth, all_awaited=all_awaited)
    check_stages(tree, limits)
    check_summary(tree)
    check_words(tree, truth)
    check_turns(tree)


def check_silences(tree: CallTree, truth: Truth, *, all_awaited: bool) -> None:
    """Each silence that was heard is there, and no other."""
    found = [
        Stretch(seconds(tree, silence.begins_us), seconds(tree, silence.ends_us))
        for silence in silences(tree).all
    ]
    gaps = list(gaps_of(tree))
    true = true_silences(truth.caller, truth)
    # What is typed ends a wait, or begins one, when LiveKit takes it, which may be later.
    typing = true_silences(sorted([*truth.caller, *truth.typed]), truth)
    for one in true if all_awaited else ():
        if one not in typing:
            continue
        told = any(same(one, other) for other in (*found, *gaps))
        assert told or one.ended - one.began < LEAST, one
    for one in found:
        assert any(same(one, other) for other in (*true, *typing)) or at_once(truth, one.ended), one


def true_silences(said: Iterable[Stretch], truth: Truth) -> list[Stretch]:
    """From the caller's last word to the agent's first sound after it."""
    found = []
    for sound in truth.agent:
        before = [one for one in said if one.began < sound]
        asked = before[-1] if before else None
        if asked is None or asked.ended > sound or at_once(truth, sound):
            continue
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


def check_stages(tree: CallTree, limits: Mapping[str, float]) -> None:
    """They sum to the dead air, and none takes longer than the script of the call says."""
    for silence in silences(tree).all:
        assert sum(stage.ms for stage in silence.stages) == pytest.approx(silence.ms)
        for stage in silence.stages:
            assert stage.ms >= 0, stage
            kind = stage.name.rstrip("_23456789")
            limit = TOOL_SECONDS if kind.startswith("tool:") else limits.get(kind)
            if kind != "tool:task" and limit is not None and not is_queued(tree, silence):
                assert stage.ms <= (limit + NEAR) * 1000, stage


def is_queued(tree: CallTree, silence: Silence) -> bool:
    """Whether a speech for something else was at work: the script does not say how long one waits
    for the other."""
    answer = silence.answer.span
    asked = answer.result.get("user_turn_id")
    return any(
        span.started_us < silence.ends_us
        and silence.begins_us < (span.finished_us or 0)
        and (asked is None or span.result.get("user_turn_id") != asked or said_by_itself(span))
        for span in tree.spans("assistant_turn")
        if span.id != answer.id
    )


def said_by_itself(span: StoredSpan) -> bool:
    """Whether the program asked for a speech."""
    return span.payload["user_initiated"] is True


def check_summary(tree: CallTree) -> None:
    """The session's own span says the same as the views."""
    assert tree.session is not None
    summary, said = summarize(tree), tree.session.result.get("latency", {})
    assert said.get("turns", 0) == len(silences(tree).all)
    assert said.get("worst_ms") == summary.worst_ms
    if summary.median_ms is not None:
        assert said["median_ms"] == pytest.approx(summary.median_ms, abs=0.001)


def check_words(tree: CallTree, truth: Truth) -> None:
    """What LiveKit holds for said and heard is in the turns, and no word more."""
    said = (span.result.get("spoken_text", "") for span in tree.spans("assistant_turn"))
    heard = (span.result.get("transcript", "") for span in tree.spans("user_turn"))
    assert words_of(said) == words_of(text for role, text in truth.history if role == "assistant")
    committed = words_of(text for role, text in truth.history if role == "user")
    assert not committed - words_of(heard), committed


def words_of(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in text.split())


def check_turns(tree: CallTree) -> None:
    """The turns follow each other, and an answer its question."""
    users = {span.id: span for span in tree.spans("user_turn")}
    for before, after in zip(users.values(), [*users.values()][1:], strict=False):
        assert before.finished_us is not None
        audio = "text" not in (after.payload.get("modality"), before.payload.get("modality"))
        assert not audio or before.finished_us <= after.started_us + NEAR * 1e6, (before, after)
    for span in tree.spans("assistant_turn"):
        asked = span.result.get("user_turn_id")
        assert asked is None or users[asked].started_us <= (span.finished_us or 0), span
        assert span.result.get("barge_in_ms", 0) >= 0
        assert span.result.get("overlap_ms", 0) >= 0
        assert span.result.get("answer_ms", 0) >= 0
