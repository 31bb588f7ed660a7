"""What models cost: the usage that LiveKit sums up for each, times rates. Pure; where rates come
from is the caller's.

What has no rate has no price: it is named, and never guessed. Two things cost what their own kind
does if they have no rate, as providers bill them: tokens from a cache, and tokens that are written
to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.json import JSON
from ..core.values import number, text

Rates = Mapping[str, float]
"""US dollars by unit: one of :data:`UNITS`."""
UNITS: Mapping[str, float] = {
    "input": 1e6,
    "cached_input": 1e6,
    "cache_write": 1e6,
    "audio_input": 1e6,
    "cached_audio_input": 1e6,
    "image_input": 1e6,
    "output": 1e6,
    "audio_output": 1e6,
    "characters": 1e6,
    "minute": 60,
}
"""How much of each unit a rate is for: a million tokens or characters, sixty seconds of audio."""
_ELSE = {"cached_input": "input", "cache_write": "input", "cached_audio_input": "audio_input"}
"""Whose rate is taken for a unit that has none."""
_KINDS = {"llm_usage": "llm", "stt_usage": "stt", "tts_usage": "tts"}
NO_USAGE = "usage"
"""What is missing of a model that reported nothing that could be priced."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What one model cost in a call."""

    kind: str
    """``llm`` (a realtime model too), ``stt`` or ``tts``."""
    provider: str
    model: str
    usd: float | None
    """``None``: none of its usage has a price."""
    unpriced: tuple[str, ...] = ()
    """The units that it used and that have no rate."""

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}" if self.provider else self.model or self.kind

    @property
    def missing(self) -> str:
        """What has no price of it: ``openai/tts-9 (characters)``."""
        return f"{self.name} ({', '.join(self.unpriced)})"


def keys(provider: str, model: str) -> tuple[str, str]:
    """The keys that rates of a model may stand under; the first one wins."""
    return f"{provider}/{model}", model


def costs(
    usages: Sequence[JSON], rates_of: Callable[[str, str], Rates | None]
) -> tuple[ModelCost, ...]:
    """What each model cost.

    Args:
        usages: LiveKit's ``model_usage`` (metrics/usage.py), an object for each model.
        rates_of: From provider and model to the rates; ``None``: there are none.
    """
    return tuple(_cost(usage, rates_of) for usage in usages if text(usage.get("type")) in _KINDS)


def total(found: Sequence[ModelCost]) -> float | None:
    """The sum of what has a price; ``None``: nothing has."""
    priced = [cost.usd for cost in found if cost.usd is not None]
    return sum(priced) if priced else None


def _cost(usage: JSON, rates_of: Callable[[str, str], Rates | None]) -> ModelCost:
    provider, model = text(usage.get("provider")), text(usage.get("model"))
    kind = _KINDS[text(usage.get("type"))]
    rates = rates_of(provider, model) or {}
    used = _billed([meter for meter in _meters(kind, usage) if meter], rates)
    priced = {
        unit: amount * rate / UNITS[unit]
        for unit, amount in used.items()
        if (rate := _rate(rates, unit)) is not None
    }
    unpriced = tuple(unit for unit in used if unit not in priced) if used else (NO_USAGE,)
    return ModelCost(kind, provider, model, sum(priced.values()) if priced else None, unpriced)


def _billed(meters: Sequence[Mapping[str, float]], rates: Rates) -> Mapping[str, float]:
    """The one way of several in which a model is billed: the first that is priced as a whole, else
    the first that is priced in part, else the first."""
    for enough in (all, any):
        for meter in meters:
            if enough(_rate(rates, unit) is not None for unit in meter):
                return meter
    return meters[0] if meters else {}


def _rate(rates: Rates, unit: str) -> float | None:
    rate = rates.get(unit)
    return rate if rate is not None else rates.get(_ELSE.get(unit, ""))


def _meters(kind: str, usage: JSON) -> list[dict[str, float]]:
    """The ways in which a model may be billed, the likeliest first; of each, how much of each unit
    was used. Seconds are of audio; of a realtime model, of its connection."""

    def amount(name: str) -> float:
        return max(0.0, number(usage.get(name)) or 0.0)

    minutes = {"minute": amount("session_duration" if kind == "llm" else "audio_duration")}
    characters = {"characters": amount("characters_count")}
    return [
        {unit: much for unit, much in meter.items() if much > 0}
        for meter in (_tokens(amount), characters, minutes)
    ]


def _tokens(amount: Callable[[str], float]) -> dict[str, float]:
    """Tokens, each counted once: LiveKit's totals hold the cached ones, those of audio and those
    of images, and the cached ones hold those of cached audio."""
    cached, written = amount("input_cached_tokens"), amount("input_cache_creation_tokens")
    audio, cached_audio = amount("input_audio_tokens"), amount("input_cached_audio_tokens")
    image = max(0.0, amount("input_image_tokens") - amount("input_cached_image_tokens"))
    heard = max(0.0, audio - cached_audio)
    spoken = amount("output_audio_tokens")
    return {
        "input": max(0.0, amount("input_tokens") - cached - written - heard - image),
        "cached_input": max(0.0, cached - cached_audio),
        "cache_write": written,
        "audio_input": heard,
        "cached_audio_input": cached_audio,
        "image_input": image,
        "output": max(0.0, amount("output_tokens") - spoken),
        "audio_output": spoken,
    }
