"""``prefactor-agent show --json``: what the waterfall says, for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.json import JSON
from ...core.values import mapping
from ...stored.span import StoredSpan
from ..model.bars import Bar, TurnBars, turn_bars
from ..model.calltree import CallTree, build
from ..model.costs import cost_json, cost_of_call
from ..model.gaps import longest_gap
from ..model.keys import Key, keys_of
from ..model.silences import silences
from ..model.summarize import summarize
from ..model.summary import summary_object
from ..model.turns import (
    Turn,
    generated_text,
    kind,
    not_taken,
    spoken_text,
    unspoken_text,
    user_text,
)
from ..model.unanswered import declined, unanswered_of
from ..model.updates import ReplyTo, Update, reply_to, updates


def outline(
    spans: Sequence[StoredSpan], now_us: int | None = None, alive: bool | None = None
) -> JSON:
    """A call as turns. Times are milliseconds after the beginning of the call."""
    call = build(spans)
    found, unanswered = silences(call), unanswered_of(call)
    turns = [
        {
            **_turn(call, turn, turn_bars(call, turn, found.of(turn))),
            "unanswered": unanswered.has(turn) if unanswered is not None and turn.user else None,
            "declined": declined(turn),
        }
        for turn in call.turns
    ]
    summary = summary_object(summarize(call, now_us, alive))
    recorded = mapping(call.session.result.get("pickup")) if call.session is not None else {}
    summary["pickup"] = recorded or None
    summary["cost"] = cost_json(cost_of_call(call))
    return {**summary, "turns": turns, "dtmf": [_key(call, key) for key in keys_of(call)]}


def _turn(call: CallTree, turn: Turn, found: TurnBars) -> JSON:
    silence, slowest, gap = found.silence, found.slowest, longest_gap(turn)
    return {
        "number": turn.number,
        "at_ms": _at(call, turn.started_us),
        "user": user_text(turn.user) if turn.user else None,
        "taken": not not_taken(turn.user) if turn.user else None,
        "reply_to": [_reply(one) for answer in turn.answers for one in reply_to(answer)],
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


def _reply(tool: ReplyTo) -> JSON:
    return {"tool_id": tool.tool_id, "tool_name": tool.tool_name, "result": tool.result}


def _stage(call: CallTree, bar: Bar) -> JSON:
    tool = bar.span if bar.span is not None and kind(bar.span) == "tool" else None
    return {
        "stage": bar.label,
        "span_id": bar.span.id if bar.span else None,
        "at_ms": _at(call, bar.started_us),
        "duration_ms": None if bar.is_moment else bar.duration_us / 1000,
        "first_ms": bar.first_us / 1000 if bar.first_us is not None else None,
        "dropped": bar.dropped,
        "status": bar.span.status if bar.span else None,
        "outcome": tool.result.get("outcome") if tool else None,
        "error": mapping(tool.result.get("error")) or None if tool else None,
        "updates": [_update(call, one) for one in updates(call, tool)] if tool else [],
    }


def _update(call: CallTree, update: Update) -> JSON:
    return {
        "at_ms": _at(call, update.at_us),
        "text": update.text,
        "silent": update.silent,
        "inline": update.inline,
        "refused": update.refused,
        "turn": update.turn.number if update.turn else None,
    }


def _key(call: CallTree, key: Key) -> JSON:
    return {
        "at_ms": _at(call, key.at_us),
        "direction": "sent" if key.sent else "received",
        "digit": key.digit,
        "participant": key.participant or None,
        "failed": key.failed,
    }


def _at(call: CallTree, moment_us: int) -> float:
    return (moment_us - call.started_us) / 1000
