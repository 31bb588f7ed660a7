"""What the user's code says of a call: tags, outcome and evaluations (``JobContext.tagger``,
``livekit.agents.evals``), as plain data."""

from __future__ import annotations

from typing import Any

from ...core.json import JSON

_KEPT = 100
_ANSWERED = "lk.amd:"
"""What LiveKit's answering machine detection puts before its verdict (voice/amd/detector.py)."""
_OWN = "lk."
"""LiveKit's own tags: the outcome, and one for each judgement."""


def tags_and_outcome(tagger: Any) -> JSON:
    """The part of a session's result that a tagger fills; nothing where nothing was set.

    The outcome is read from the tags ``lk.success`` and ``lk.fail``: the property ``outcome`` is
    younger than the oldest supported LiveKit (observability.py)."""
    every = tagger.tags
    found: JSON = {}
    if tags := sorted(tag for tag in every if not tag.startswith(_OWN)):
        found["tags"] = tags[:_KEPT]
    outcome = next((one for one in ("success", "fail") if _OWN + one in every), None)
    if outcome is not None:
        found["outcome"] = outcome
        if tagger.outcome_reason:
            found["outcome_reason"] = tagger.outcome_reason
    if answered := sorted(tag.removeprefix(_ANSWERED) for tag in every if _ANSWERED in tag):
        found["answering_machine"] = [{"category": one} for one in answered[:_KEPT]]
    if evaluations := tagger.evaluations:
        found["evaluations"] = [_evaluation(one) for one in evaluations[:_KEPT]]
    return found


def _evaluation(one: JSON) -> JSON:
    keys = ("name", "verdict", "reasoning", "instructions")
    return {key: one[key] for key in keys if one.get(key)}
