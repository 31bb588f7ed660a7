"""What models cost: the usage that LiveKit sums up for each, times rates. Pure; where rates come
from is the caller's.

What has no rate has no price: it is named, and never guessed. Two things cost what their own kind
does if they have no rate, as providers bill them: tokens from a cache, and tokens that are written
to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .core.json import JSON
from .core.values import mapping, number, text

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


OUTPUT = frozenset({"output", "audio_output"})
"""The units of what an LLM gave; its others are of what it was given."""


def keys(provider: str, model: str) -> tuple[str, str]:
    """The keys that rates of a model may stand under; the first one wins."""
    return f"{provider}/{model}", model


def own_rates(rates: JSON, provider: str, model: str) -> Rates | None:
    """The rates that a user has set for a model; ``None``: they have set none.

    Args:
        rates: ``configure(rates=…)``, as they are kept with a call.
    """
    for key in keys(provider, model) if rates else ():
        if key in rates:
            own = {unit: number(rate) for unit, rate in mapping(rates[key]).items()}
            return {unit: rate for unit, rate in own.items() if rate is not None}
    return None


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


def by_unit(usage: JSON, rates: Rates) -> dict[str, float | None]:
    """What was used of a model costs in US dollars, by unit; ``None``: that has no rate.

    Args:
        usage: As one of :func:`costs`.
    """
    used = _billed(list(_meters(_KINDS[text(usage.get("type"))], usage)), rates)
    return {
        unit: None if (rate := _rate(rates, unit)) is None else amount * rate / UNITS[unit]
        for unit, amount in used.items()
    }


def _cost(usage: JSON, rates_of: Callable[[str, str], Rates | None]) -> ModelCost:
    provider, model = text(usage.get("provider")), text(usage.get("model"))
    found = by_unit(usage, rates_of(provider, model) or {})
    priced = [usd for usd in found.values() if usd is not None]
    unpriced = tuple(unit for unit, usd in found.items() if usd is None)
    return ModelCost(
        _KINDS[text(usage.get("type"))],
        provider,
        model,
        sum(priced) if priced else None,
        unpriced if found else (NO_USAGE,),
    )


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


def _meters(kind: str, usage: JSON) -> Iterator[dict[str, float]]:
    """The ways in which a model may be billed, the likeliest first; of each, how much of each unit
    was used. Seconds are of audio; of a realtime model, of its connection."""
    if _much(usage, "input_tokens") or _much(usage, "output_tokens"):
        yield {unit: much for unit, much in _tokens(usage) if much > 0}
    if characters := _much(usage, "characters_count"):
        yield {"characters": characters}
    if seconds := _much(usage, "session_duration" if kind == "llm" else "audio_duration"):
        yield {"minute": seconds}


def _tokens(usage: JSON) -> Iterator[tuple[str, float]]:
    """Tokens, each counted once: LiveKit's totals hold the cached ones, those of audio and those
    of images, and the cached ones hold those of cached audio."""
    cached = _much(usage, "input_cached_tokens")
    written = _much(usage, "input_cache_creation_tokens")
    cached_audio = _much(usage, "input_cached_audio_tokens")
    heard = max(0, _much(usage, "input_audio_tokens") - cached_audio)
    seen = max(0, _much(usage, "input_image_tokens") - _much(usage, "input_cached_image_tokens"))
    spoken = _much(usage, "output_audio_tokens")
    yield "input", _much(usage, "input_tokens") - cached - written - heard - seen
    yield "cached_input", cached - cached_audio
    yield "cache_write", written
    yield "audio_input", heard
    yield "cached_audio_input", cached_audio
    yield "image_input", seen
    yield "output", _much(usage, "output_tokens") - spoken
    yield "audio_output", spoken


def _much(usage: JSON, name: str) -> float:
    """How much of something was used; 0 also of what is no finite number above it."""
    return max(0.0, number(usage.get(name)) or 0.0)
