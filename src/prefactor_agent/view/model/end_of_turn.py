"""Why LiveKit waited before it took a turn of the caller's, in words."""

from __future__ import annotations

from ...core.json import JSON
from ...core.values import mapping, mappings, number
from . import numbers
from .turns import Node


def why_it_waited(user: Node) -> list[str]:
    """A line for each time that a turn detector was asked: ``turn detector: 0.12 < 0.40, waited
    3.00 s``. Nothing, if none was."""
    found = mapping(user.span.result.get("end_of_turn"))
    said = [_said(one) for one in mappings(found.get("predictions"))]
    return [f"turn detector: {line}" for line in said if line]


def _said(one: JSON) -> str:
    probability, threshold = number(one.get("probability")), number(one.get("threshold"))
    if probability is None:
        return ""
    line = f"{probability:.2f}"
    if threshold is not None:
        # Rounded, the two can look alike.
        digits = 2 if f"{probability:.2f}" != f"{threshold:.2f}" else 4
        sign = "<" if probability < threshold else ">="
        line = f"{probability:.{digits}f} {sign} {threshold:.{digits}f}"
    if (delay := number(one.get("delay_ms"))) is not None:
        waited = numbers.length(delay * 1000)
        line += f", {waited} cut short" if one.get("cut_short") else f", waited {waited}"
    return line
