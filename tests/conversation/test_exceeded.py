"""Budgets that a turn is over."""

from __future__ import annotations

from conversation.turns import MS, one
from prefactor_agent.conversation import exceeded


def test_what_is_over_budget_is_told():
    turn = one(1500 * MS, vad=500 * MS, llm_ttft=700 * MS)
    budgets = {"perceived": 1.2, "llm_ttft": 0.6, "vad": 0.6, "tts_ttfb": 0.1}
    assert exceeded(turn, budgets) == {"perceived": 1.5, "llm_ttft": 0.7}
