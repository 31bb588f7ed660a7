"""``prefactor-agent show --json``: what the waterfall says, for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.json import JSON
from ...journal.reader import StoredSpan
from ..model.bars import Bar, TurnBars, turn_bars
from ..model.calltree import CallTree, build
from ..model.gaps import longest_gap
from ..model.silences import silences
from ..model.summary import summarize, summary_object
from ..model.turns import Turn, generated_text, spoken_text, unspoken_text, user_text


def outline(
    spans: Sequence[StoredSpan], now_us: int | None = None, alive: bool | None = None
) -> JSON:
    """A call as turns. Times are milliseconds after the beginning of the call."""
    call = build(spans)
    found = silences(call)
    turns = [_turn(call, turn, turn_bars(call, turn, found.of(turn))) for turn in call.turns]
    return {**summary_object(summarize(call, now_us, alive)), "turns": turns}


def _turn(call: CallTree, turn: Turn, found: TurnBars) -> JSON:
    silence, slowest, gap = found.silence, found.slowest, longest_gap(turn)
    return {
        "number": turn.number,
        "at_ms": _at(call, turn.started_us),
        "user": user_text(turn.user) if turn.user else None,
        "agent": " ".join(filter(None, map(spoken_text, turn.answers))) or None,
        "unspoken": " ".join(filter(None, map(unspoken_text, turn.answers))) or None,
        "dropped": [generated_text(node) for node in turn.dropped],
        "interrupted": turn.interrupted,
        "silence_ms": silence.ms if silence else None,
        "answer_ms": silence.answer_ms if silence else None,
        "gap": {"ms": gap.ms, "cause": gap.cause} if gap else None,
        "slowest": {"stage": slowest.name, "ms": slowest.us / 1000} if slowest else None,
        "over_budget": silence.over_budget if silence else {},
        "inside": turn.inside.id if turn.inside else None,
        "stages": [_stage(call, bar) for bar in found.bars],
    }


def _stage(call: CallTree, bar: Bar) -> JSON:
    return {
        "stage": bar.label,
        "span_id": bar.span.id if bar.span else None,
        "at_ms": _at(call, bar.started_us),
        "duration_ms": None if bar.is_moment else bar.duration_us / 1000,
        "first_ms": bar.first_us / 1000 if bar.first_us is not None else None,
        "dropped": bar.dropped,
        "status": bar.span.status if bar.span else None,
    }


def _at(call: CallTree, moment_us: int) -> float:
    return (moment_us - call.started_us) / 1000
