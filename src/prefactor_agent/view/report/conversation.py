"""The conversation on the page: who said what, and what happened in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...core.values import error_text, mapping, mappings, number, stack_text, text
from ...stored.span import StoredSpan
from ..model import numbers, stagenames
from ..model.call_moments import CallMoment, call_moments
from ..model.calltree import CallTree
from ..model.end_of_turn import why_it_waited
from ..model.handoffs import handoff_of
from ..model.keys import Keys, inputs
from ..model.moments import heard_at
from ..model.silences import Silence, Silences
from ..model.sounds import held_back
from ..model.turns import (
    TURNS,
    Node,
    Turn,
    cut_off,
    generated_text,
    kind,
    spoken_text,
    thrown_away,
    typed,
    unspoken_text,
    user_text,
)
from ..model.unanswered import Unanswered, declined, unanswered_of
from ..model.updates import Update, omitted, origin, over_us, ran_us, result_turn, updates

KEYS = "keys-"
"""What the page's ids of keys begin with, which have no span."""

MOMENTS = "moment-"
"""The same of moments of the call."""

Chip = tuple[str, str]
"""A short remark, and its tone: ``bad``, ``open`` or none."""


@dataclass(slots=True)
class Note:
    """Something inside a turn, or between turns: a tool call, an error, a handoff, keys that were
    pressed."""

    kind: str
    span_id: str
    at_us: int
    title: str
    status: str
    chips: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    """What a tool reported while it ran."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report of a tool. Times are microseconds from the beginning of the call."""

    at_us: int
    said: str
    how: str
    """What became of it, in words."""
    turn: Turn | None = None
    """The turn with the answer that was made for it."""

    @property
    def answer_id(self) -> str:
        return self.turn.answers[0].span.id if self.turn and self.turn.answers else ""


@dataclass(slots=True)
class Entry:
    """What one side said in a turn. Times are microseconds from the beginning of the call."""

    kind: str
    """``user`` or ``agent``."""
    span_id: str
    at_us: int
    turn: int
    said: str
    unsaid: str = ""
    """What was generated and never spoken."""
    cut_s: float | None = None
    """How much was played of an answer that was cut off, in seconds."""
    going_on: bool = False
    inside: str = ""
    """The tool whose dialogue this is part of."""
    chips: list[Chip] = field(default_factory=list)
    silence: Silence | None = None
    notes: list[Note] = field(default_factory=list)


def conversation(call: CallTree, silences: Silences) -> list[Entry | Note]:
    """In the order of time."""
    placed: list[tuple[int, int, Entry | Note]] = []
    unanswered = unanswered_of(call)
    for turn in call.turns:
        for node in turn.nodes:
            user = kind(node.span) == "user_turn"
            entry = (
                _user(call, turn, node, unanswered) if user else _agent(call, turn, node, silences)
            )
            placed.append((heard_at(call, node) - call.started_us, 0 if user else 1, entry))
    for node in call.loose:
        placed += [(note.at_us, 2, note) for note in _notes(call, node)]
    for number_, keys in enumerate(inputs(call), start=1):
        note = _keys(call, keys, number_)
        placed.append((note.at_us, 2, note))
    for number_, moment in enumerate(call_moments(call), start=1):
        note = _moment(call, moment, number_)
        placed.append((note.at_us, 2, note))
    return [part for *_, part in sorted(placed, key=lambda one: one[:2])]


def anchors(call: CallTree) -> dict[str, str]:
    """For each span the part of the conversation that stands for it, by their ids."""
    found: dict[str, str] = {}
    for turn in call.turns:
        for node in turn.nodes:
            _anchor(node, node.span.id, found)
    for node in call.loose:
        _anchor(node, "", found)
    return found


def _anchor(top: Node, place: str, found: dict[str, str]) -> None:
    waiting = [(top, place)]
    while waiting:
        node, here = waiting.pop()
        if _is_note(node.span):
            here = node.span.id
        if here:
            found[node.span.id] = here
        waiting += [(child, here) for child in node.children if kind(child.span) not in TURNS]


def _is_note(span: StoredSpan) -> bool:
    return kind(span) in ("tool", "error", "handoff")


def _notes(call: CallTree, node: Node) -> list[Note]:
    spans = sorted(node.spans("tool", "error", "handoff"), key=lambda span: span.started_us)
    return [_note(call, span) for span in spans]


def _user(call: CallTree, turn: Turn, node: Node, unanswered: Unanswered | None) -> Entry:
    span = node.span
    chips: list[Chip] = []
    if typed(node):
        chips.append(("typed", ""))
    known = (text(span.result.get(key)) for key in ("language", "speaker_id"))
    chips += [(value, "") for value in known if value]
    if confidence := number(span.result.get("confidence")):
        chips.append((f"{confidence:.0%} sure", ""))
    chips += [(line, "") for line in why_it_waited(node)]
    if unanswered is not None and unanswered.has(turn):
        chips.append(("unanswered", "bad"))
    elif declined(turn):
        chips.append(("no answer wanted", ""))
    chips += _status_chips(span, "not taken as a turn")
    return Entry(
        "user",
        span.id,
        call.at(span),
        turn.number,
        user_text(node),
        inside=turn.inside.name if turn.inside else "",
        chips=chips,
        notes=_notes(call, node),
    )


def _agent(call: CallTree, turn: Turn, node: Node, silences: Silences) -> Entry:
    span, result = node.span, node.span.result
    going_on = span.finished_us is None
    cut = number(result.get("playback_position_s")) if cut_off(node) else None
    said, unsaid = spoken_text(node), unspoken_text(node)
    if going_on or (thrown_away(node) and not said):
        unsaid = generated_text(node)
    return Entry(
        "agent",
        span.id,
        call.at(span),
        turn.number,
        said,
        unsaid=unsaid,
        cut_s=cut,
        going_on=going_on,
        inside=turn.inside.name if turn.inside else "",
        chips=list(_agent_chips(node, silences.before(node))),
        silence=silences.before(node),
        notes=[*_notes(call, node), *_own_error(call, node)],
    )


def _agent_chips(node: Node, silence: Silence | None) -> Iterator[Chip]:
    yield from _how_it_went(node)
    yield from _over_budget(silence)
    yield from _measured(node.span)
    yield from _status_chips(node.span, "never spoken")


def _how_it_went(node: Node) -> Iterator[Chip]:
    span, result = node.span, node.span.result
    if cut_off(node):
        by = {"user": "the caller", "program": "the program"}.get(
            text(result.get("interrupted_by")), text(result.get("interrupted_by"))
        )
        yield (f"interrupted by {by}" if by else "interrupted"), "bad"
    if said := origin(node):
        yield said, ""
    if thrown_away(node):
        yield "begun early, then dropped", ""
    elif result.get("preemptive") == "used":
        yield "begun early", ""
    if (source := text(span.payload.get("source"))) and source != "generate_reply":
        yield source.replace("_", " "), ""


def _over_budget(silence: Silence | None) -> Iterator[Chip]:
    for name, ms in silence.over_budget.items() if silence else ():
        limit = silence.budgets.get(name) if silence else None
        of = f" of {numbers.milliseconds(limit)}" if limit is not None else ""
        yield f"over budget: {stagenames.label(name)} {numbers.milliseconds(ms)}{of}", "bad"


def _measured(span: StoredSpan) -> Iterator[Chip]:
    """How long it took, how long it spoke on, where it had gaps and was held back."""
    result = span.result
    if (waited := number(result.get("answer_ms"))) is not None:
        yield f"answered after {numbers.milliseconds(waited)}", ""
    if (spoke_on := number(result.get("barge_in_ms"))) is not None:
        yield f"spoke on for {numbers.milliseconds(spoke_on)}", ""
    if holes := [number(hole.get("ms")) or 0.0 for hole in mappings(result.get("gaps"))]:
        many = f"{len(holes)} gaps" if len(holes) > 1 else "a gap"
        yield f"{many} in the audio, {numbers.milliseconds(sum(holes))}", "bad"
    if held := [until - since for since, until in held_back(span) if until is not None]:
        yield f"held for a false interruption, {numbers.milliseconds(sum(held) / 1000)}", ""


def _status_chips(span: StoredSpan, cancelled: str) -> list[Chip]:
    if span.status == "active":
        return [("no end was recorded", "open")]
    if span.status == "failed":
        return [("failed", "bad")]
    return [(cancelled, "")] if span.status == "cancelled" else []


def _own_error(call: CallTree, node: Node) -> Iterator[Note]:
    """The error of the turn as a whole, if none of its spans has it."""
    span = node.span
    error = mapping(span.result.get("error"))
    if error and not node.spans("error"):
        title = text(error.get("error_type")) or "error"
        fields = [("message", text(error.get("message")))]
        yield Note("error", span.id, call.at(span), title, "failed", fields=fields)


def _note(call: CallTree, span: StoredSpan) -> Note:
    make = {"error": _error, "handoff": _handoff}.get(kind(span), _tool)
    title, chips, fields = make(span)
    note = Note(kind(span), span.id, call.at(span), title, span.status, chips, fields)
    if note.kind == "handoff" and handoff_of(span).failed:
        note.status = "failed"
    if note.kind == "tool":
        note.reports = list(_reports(call, span))
    return note


def _keys(call: CallTree, keys: Keys, number_: int) -> Note:
    at = keys.started_us - call.started_us
    status = "failed" if keys.keys[0].failed else "complete"
    return Note("dtmf", f"{KEYS}{number_}", at, keys.words, status)


def _moment(call: CallTree, moment: CallMoment, number_: int) -> Note:
    at = moment.started_us - call.started_us
    return Note("moment", f"{MOMENTS}{number_}", at, moment.words, "complete")


def _reports(call: CallTree, tool: StoredSpan) -> Iterator[Report]:
    """What a tool reported, and when it was over that went on in the background."""
    for update in updates(call, tool):
        at = update.at_us - call.started_us
        yield Report(at, update.text, _became_of(update), update.turn)
    if more := omitted(tool):
        yield Report(call.at(tool), "", f"and {numbers.count(more, 'more report')}")
    if (over := over_us(call, tool)) is not None:
        after = numbers.length(over - (tool.finished_us or over))
        how = f"over, {after} after its turn"
        yield Report(over - call.started_us, "", how, result_turn(call, tool))


def _became_of(update: Update) -> str:
    if update.refused:
        return "LiveKit refused it"
    if update.inline:
        return "the answer to the model"
    return "for the model alone" if update.silent else ""


Described = tuple[str, list[str], list[tuple[str, str]]]


def _error(span: StoredSpan) -> Described:
    payload = span.payload
    fields = [("message", text(payload.get("message")))]
    if source := text(payload.get("source")):
        fields.append(("source", source))
    if stack := stack_text(span.result.get("error")):
        fields.append(("stack", stack))
    chips = ["retried"] if payload.get("recoverable") is True else []
    return text(payload.get("error_type")) or "error", chips, fields


def _handoff(span: StoredSpan) -> Described:
    found = handoff_of(span)
    chips = [_took(span)] if span.duration_us else []
    fields = [("error", found.error)] if found.error else []
    title = f"{found.giver or '?'} \u2192 {found.taker or '?'}"
    return title, [found.why, *chips] if found.why else chips, fields


def _tool(span: StoredSpan) -> Described:
    payload, result = span.payload, span.result
    name = text(payload.get("tool_name")) or span.name or kind(span)
    if span.at_provider:
        chips = ["at the provider"]
    elif span.duration_us is not None:
        chips = [_took(span)]
    else:
        chips = ["still running" if span.status == "active" else "no end"]
    if payload.get("from_events") is True:  # of a tool that is not traced itself
        chips.append("from LiveKit's events")
    outcome = text(result.get("outcome"))
    if outcome and outcome != "returned":
        chips.append(outcome.replace("_", " "))
    fields = [("input", _json(payload["inputs"]))] if "inputs" in payload else []
    error, outputs = mapping(result.get("error")), result.get("outputs")
    if error:
        fields.append(("error", error_text(error) or _json(error)))
    if stack := stack_text(error):
        fields.append(("stack", stack))
    if outputs is not None:
        only = isinstance(outputs, dict) and set(outputs) == {"output"}
        value = _json(outputs["output"] if only else outputs)
        fields.append(("returned" if error else "result", value))
    if "model_output" in result:  # in place of what the body returned
        fields.append(("model got", _json(result["model_output"])))
    return name, chips, fields


def _took(span: StoredSpan) -> str:
    return numbers.length((ran_us(span) if kind(span) == "tool" else span.duration_us) or 0)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
