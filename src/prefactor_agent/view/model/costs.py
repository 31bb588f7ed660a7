"""What a call cost, and what many did: own rates, which are kept with the call, before those of the
catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from ... import pricing as priced
from ...core.json import JSON
from ...core.values import mapping
from ...pricing import ModelCost, Rates
from . import catalogue
from .digest import Digest

if TYPE_CHECKING:
    from .calltree import CallTree

_DAY_US = 86_400_000_000
KINDS = {"llm": "LLM", "stt": "STT", "tts": "TTS"}


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a call cost, in US dollars."""

    models: tuple[ModelCost, ...]
    so_far: bool = False
    """There was, or may come, more: the call runs, or did not come to tell what it used."""

    @property
    def usd(self) -> float | None:
        """Of what has a price; ``None``: nothing has."""
        return priced.total(self.models)

    @property
    def unpriced(self) -> list[str]:
        """What has no price, and is not in the sum."""
        return [model.missing for model in self.models if model.unpriced]


def cost_of(
    usage: Iterable[JSON], rates: JSON, started_us: int, *, so_far: bool = False
) -> CallCost | None:
    """What a call cost.

    Args:
        usage: An object for each model: see :mod:`.usage`.
        rates: The user's own, as they were when the call began, by model or provider/model.
        started_us: When it began, in microseconds since the Unix epoch.

    Returns:
        ``None``: no usage is known.
    """
    day = _day(started_us // _DAY_US)

    def rates_of(provider: str, model: str) -> Rates | None:
        own = priced.own_rates(rates, provider, model)
        return catalogue.rates(provider, model, day) if own is None else own

    found = priced.costs(list(usage), rates_of)
    return CallCost(found, so_far) if found else None


def cost_of_call(call: CallTree) -> CallCost | None:
    """What a call cost, or has cost so far."""
    from .usage import usage_of  # it knows all of a call, which a list of digests does without

    usage = usage_of(call)
    rates = mapping(call.session.payload.get("rates")) if call.session is not None else {}
    return cost_of(usage.models, rates, call.started_us, so_far=usage.so_far)


def cost_of_digest(digest: Digest) -> CallCost | None:
    return cost_of(digest.usage, digest.rates, digest.started_us, so_far=digest.usage_so_far)


def cost_json(cost: CallCost | None) -> JSON | None:
    """``cost`` of ``show --json`` and ``sessions --json``; see docs/costs.md."""
    if cost is None:
        return None
    return {
        "usd": rounded(cost.usd),
        "so_far": cost.so_far,
        "unpriced": cost.unpriced,
        "models": [{**asdict(model), "usd": rounded(model.usd)} for model in cost.models],
    }


def in_words(cost: CallCost | None) -> list[str]:
    """``$0.0123 (LLM $0.0100, TTS $0.0023)``, and what the sum leaves out: one line each. Nothing
    if there is no sum: who has no rates has not asked for one."""
    if cost is None or cost.usd is None:
        return []
    kinds: dict[str, float] = {}
    for model in cost.models:
        if model.usd is not None:
            kinds[model.kind] = kinds.get(model.kind, 0) + model.usd
    parts = ", ".join(f"{KINDS[kind]} {dollars(usd)}" for kind, usd in kinds.items())
    so_far = " so far" if cost.so_far else ""
    return [f"{dollars(cost.usd)}{so_far} ({parts})", *without_price(cost.unpriced)]


def without_price(names: Iterable[str]) -> list[str]:
    """A line that names what has no price, if there is any."""
    if not (listed := ", ".join(names)):
        return []
    return [f"no price: {listed}" + ("" if catalogue.installed() else f"; {catalogue.EXTRA}")]


def dollars(usd: float) -> str:
    """``$12.34``, ``$0.0123``: small ones with four digits."""
    return f"${usd:,.2f}" if usd >= 10 else f"${usd:.4f}"


@dataclass
class Spending:
    """What many calls cost. Filled while they are looked at: see :meth:`counting`."""

    calls: int = 0
    """Those with a price."""
    usd: float = 0.0
    by_model: dict[str, float] = field(default_factory=dict)
    unpriced: dict[str, int] = field(default_factory=dict)
    """By what has no price, in how many calls it was used."""

    def counting(self, calls: Iterable[Digest]) -> Iterator[Digest]:
        """The same calls, each counted as it passes."""
        for call in calls:
            self.add(cost_of_digest(call))
            yield call

    def add(self, cost: CallCost | None) -> None:
        if cost is None:
            return
        if cost.usd is not None:
            self.calls += 1
            self.usd += cost.usd
        for model in cost.models:
            if model.usd is not None:
                self.by_model[model.name] = self.by_model.get(model.name, 0) + model.usd
        for name in cost.unpriced:
            self.unpriced[name] = self.unpriced.get(name, 0) + 1

    def include(self, other: Spending) -> None:
        """Count the calls that another has counted, too."""
        self.calls += other.calls
        self.usd += other.usd
        for name, usd in other.by_model.items():
            self.by_model[name] = self.by_model.get(name, 0) + usd
        for name, calls in other.unpriced.items():
            self.unpriced[name] = self.unpriced.get(name, 0) + calls

    def as_json(self) -> JSON:
        """``cost`` of ``stats --json``."""
        return {
            "calls": self.calls,
            "usd": rounded(self.usd) if self.calls else None,
            "models": {name: rounded(usd) for name, usd in sorted(self.by_model.items())},
            "unpriced": dict(sorted(self.unpriced.items())),
        }


def rounded(usd: float | None) -> float | None:
    """To a millionth of a dollar."""
    return round(usd, 6) if usd is not None else None


@cache
def _day(number: int) -> str:
    """A day since the Unix epoch."""
    try:
        return f"{datetime.fromtimestamp(number * _DAY_US / 1e6, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return "2000-01-01"
