"""Why LiveKit waited before it took the user's turn as finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...core.json import JSON, without_none

PREDICTIONS_KEPT = 20


@dataclass(slots=True)
class Prediction:
    """What a turn detector said at one pause of the user's."""

    at_ns: int
    probability: float
    """That the turn is over."""
    threshold: float | None
    """Below it, LiveKit waits for ``max_delay``; ``None``: there is none for the language."""
    delay_s: float | None
    """How long LiveKit waits after the end of the sound, for that."""
    took_ns: int | None
    """How long the detector took; ``None``: it listens all the time."""
    cut_short: bool = False
    """The user spoke again before that."""


@dataclass(slots=True)
class EndOfTurn:
    """How the end of one of the user's turns was found."""

    detector: str | None = None
    """The detector's model; or ``vad``, ``stt``, ``manual`` …"""
    min_delay_s: float | None = None
    max_delay_s: float | None = None
    predictions: list[Prediction] = field(default_factory=list)
    total: int = 0

    def add(self, prediction: Prediction) -> None:
        """The detector was asked again."""
        self.total += 1
        if len(self.predictions) == PREDICTIONS_KEPT:
            del self.predictions[0]  # the last one decides
        self.predictions.append(prediction)

    def cut_short(self) -> None:
        """The user speaks again."""
        if self.predictions:
            self.predictions[-1].cut_short = True

    def as_json(self, offset_us: Callable[[int], int]) -> JSON | None:
        """As it is kept in the result of the turn (docs/trace-format.md)."""
        found = without_none(
            {
                "detector": self.detector,
                "min_delay_ms": _ms(self.min_delay_s),
                "max_delay_ms": _ms(self.max_delay_s),
                "predictions": [_as_json(one, offset_us) for one in self.predictions] or None,
                "predictions_total": self.total if self.total > len(self.predictions) else None,
            }
        )
        return found or None


def _as_json(one: Prediction, offset_us: Callable[[int], int]) -> JSON:
    return without_none(
        {
            "at_us": offset_us(one.at_ns),
            "probability": round(one.probability, 4),
            "threshold": round(one.threshold, 4) if one.threshold is not None else None,
            "delay_ms": _ms(one.delay_s),
            "took_ms": one.took_ns // 1000 / 1000 if one.took_ns is not None else None,
            "cut_short": one.cut_short or None,
        }
    )


def _ms(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None
