"""What the models of a call used: LiveKit's own sum, which is known when the call is over; before,
and of a call whose process was killed, what LiveKit measured in the turns that had ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...core.json import JSON
from ...core.values import as_list, mapping, mappings, number, text
from ...request_usage import request_usage
from ...stored.span import StoredSpan
from .calltree import CallTree
from .turns import TURNS
from .turns import kind as kind_of


class Usage(NamedTuple):
    """What was used in a call."""

    models: list[JSON]
    """An object for each model, as LiveKit's ``model_usage`` has it (metrics/usage.py), without
    zeros."""
    so_far: bool = False
    """There was, or may come, more: the call has not told its sum."""


def usage_of(call: CallTree) -> Usage:
    """What each model of a call used."""
    summed = mapping(call.session.result.get("usage")) if call.session is not None else {}
    if "model_usage" in summed:
        return Usage([_without_zeros(model) for model in mappings(summed["model_usage"])])
    models = _measured(call)
    return Usage(models, so_far=bool(models))


def _measured(call: CallTree) -> list[JSON]:
    """The sum of what was measured in the turns that have ended."""
    found: dict[tuple[str, str, str], JSON] = {}
    for turn in call.spans_by_time:
        if kind_of(turn) not in TURNS:
            continue
        for measured in _measurements(turn):
            used = request_usage(mapping(measured.get("metrics")))
            if used is None:
                continue
            key = (
                text(used["type"]),
                text(measured.get("provider")),
                text(measured.get("model_name")),
            )
            model = found.setdefault(key, dict(zip(_NAMES, key, strict=True)))
            for name, amount in used.items():
                if name != "type":
                    model[name] = model.get(name, 0) + (number(amount) or 0)
    return [_without_zeros(model) for model in found.values()]


def _measurements(turn: StoredSpan) -> Iterator[JSON]:
    metrics = mapping(turn.result.get("metrics"))
    for kind in ("llm", "tts"):
        yield from mappings(as_list(metrics.get(kind)))
    yield mapping(metrics.get("stt"))


_NAMES = ("type", "provider", "model")


def _without_zeros(model: JSON) -> JSON:
    return {name: much for name, much in model.items() if much != 0}
