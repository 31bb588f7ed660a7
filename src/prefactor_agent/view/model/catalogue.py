"""List prices of models, from the catalogue that comes with the extra ``costs``: a package with its
data in it. Nothing is asked of the network (its updater, which would, is never started)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ...pricing import Rates

EXTRA = "pip install 'prefactor-agent[costs]' has list prices"
_UNITS: Mapping[str, tuple[str, float]] = {
    "input_mtok": ("input", 1),
    "cache_read_mtok": ("cached_input", 1),
    "cache_write_mtok": ("cache_write", 1),
    "input_audio_mtok": ("audio_input", 1),
    "cache_audio_read_mtok": ("cached_audio_input", 1),
    "output_mtok": ("output", 1),
    "output_audio_mtok": ("audio_output", 1),
    "input_kchars": ("characters", 1000),
    "input_audio_kseconds": ("minute", 0.06),
    "output_audio_kseconds": ("minute", 0.06),
}
"""From the catalogue's units to ours, and how many of theirs one of ours is."""


@cache
def installed() -> bool:
    return importlib.util.find_spec("voice_prices") is not None


def load() -> None:
    """Read the catalogue, if it is installed: the first price that is asked for does."""
    rates("openai", "gpt-4o", "2026-01-01")


@cache
def rates(provider: str, model: str, day: str) -> Rates | None:
    """The list price of a model.

    Args:
        day: When it was used, as ``2026-11-21``: prices change.

    Returns:
        ``None``: the catalogue does not know the model of this provider, or is not installed. That
        another provider has a model of this name, or this one a similar one, says nothing of the
        price; a date or a variant behind the name (``gpt-4o-2024-08-06``) is the same model.
    """
    if not installed() or not provider or not model:
        return None
    from voice_prices import Usage, calc_price

    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    try:
        found = calc_price(
            Usage(), model_ref=model, provider_id=provider, genai_request_timestamp=at
        )
    except (LookupError, ValueError):
        return None
    # It also takes whole families for one of them: sonic-2 for sonic-3, whatever that costs.
    if not model.lower().startswith(found.model.id.removesuffix("-latest")):
        return None
    return {
        unit: float(price) * many
        for theirs, (unit, many) in _UNITS.items()
        if (price := _base(getattr(found.model_price, theirs, None))) is not None
    }


def _base(price: Any) -> Any:
    """Of a price that rises with the length of a request, the lowest: requests of a voice call are
    short."""
    return getattr(price, "base", price)
