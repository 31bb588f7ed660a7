"""What the page says of the call as a whole: who spoke with whom, when, how it ended, and where it
was slowest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ...core.json import JSON
from ...core.values import as_list, mapping, mappings, text
from ..model import costs, numbers, travel
from ..model.ending import ending
from ..model.silences import Silence, Stage
from ..model.turns import user_text
from .view import View

_ASKED = 60
"""Characters of a question that are quoted at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """Texts, each empty if it is not known."""

    agent: str
    room: str
    caller: str
    when: str
    machine: str
    """The same, for machines."""
    took: str
    ending: str
    tone: str
    """Of the ending: ``good``, ``bad`` or ``open``."""
    id: str
    outcome: str
    which: str
    """Which session of its job it is, where there are several."""
    judged: list[str]
    """What judges said of it."""
    tags: list[str]
    models: dict[str, str]
    """By what they do: ``llm``, ``stt`` …"""
    failed_tools: int
    sound: list[str]
    """How the sound of both sides travelled."""
    cost: list[str]
    """What it cost, and what of it has no price."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The slowest turn, what was asked in it, and the stage that made it slow."""

    worst: Silence
    asked: str
    stage: Stage | None
    share: float
    """Of the stage in the silence, from 0 to 1."""


def head_of(view: View) -> Head:
    call, session = view.call, view.call.session
    payload = session.payload if session else {}
    result = session.result if session else {}
    spans = call.spans_by_time
    machine, when = _when(call.started_us)
    how, tone = ending(call, view.summary)
    return Head(
        agent=view.summary.agent if session else "",
        room=text(mapping(payload.get("room")).get("name")),
        caller=_caller(mapping(result.get("participant")) or mapping(payload.get("participant"))),
        when=when,
        machine=machine,
        took=numbers.length(view.ends_us) if spans else "",
        ending=how,
        tone=tone,
        id=session.id if session else (spans[0].session_id if spans else ""),
        outcome=": ".join(filter(None, map(text, map(result.get, ("outcome", "outcome_reason"))))),
        which=view.summary.which,
        judged=[
            f"{text(one.get('name'))}: {text(one.get('verdict'))}"
            for one in mappings(result.get("evaluations"))
        ],
        tags=[tag for tag in as_list(result.get("tags")) if isinstance(tag, str)],
        models=_models(mapping(payload.get("models"))),
        failed_tools=sum(span.status == "failed" for span in call.spans("tool")),
        sound=travel.in_words(call),
        cost=costs.in_words(costs.cost_of_call(call)),
    )


def verdict_of(view: View) -> Verdict | None:
    """``None``: no answer was heard."""
    worst = view.silences.worst
    if worst is None:
        return None
    asked = user_text(worst.turn.user) if worst.turn.user is not None else ""
    slowest = worst.slowest
    return Verdict(
        worst,
        asked if len(asked) <= _ASKED else asked[: _ASKED - 1].rstrip() + "\u2026",
        slowest,
        slowest.ms / worst.ms if slowest and worst.ms else 0,
    )


def _caller(participant: JSON) -> str:
    caller = text(participant.get("identity")) or text(participant.get("name"))
    kind = text(participant.get("kind"))
    return f"{caller} ({kind})" if caller and kind else caller


def _models(models: JSON) -> dict[str, str]:
    names = {
        kind: text(mapping(model).get("model_name")) or text(mapping(model).get("label"))
        for kind, model in models.items()
    }
    return {kind: name for kind, name in names.items() if name}


def _when(epoch_us: int) -> tuple[str, str]:
    """A moment for a machine and for a reader, in UTC: the page may be read anywhere."""
    try:
        moment = datetime.fromtimestamp(epoch_us / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return "", "at an unknown time"
    return moment.isoformat(timespec="milliseconds"), (
        f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M:%S} UTC"
    )
