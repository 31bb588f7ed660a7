"""What a request of an LLM cost, by the user's own rates, which are kept with the call: list prices
are not looked up while calls run.

OpenInference has names for it (``llm.cost.*``, in US dollars), and Langfuse an attribute. The GenAI
conventions have none yet (open-telemetry/semantic-conventions-genai#443), and nobody has one for
STT and TTS (Arize-ai/openinference#2071)."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.json import JSON, without_none
from ...core.span import SpanType
from ...core.values import mapping, text
from ...pricing import OUTPUT, by_unit, own_rates
from ...request_usage import request_usage
from .attributes import as_text
from .reading import Reading


def request_cost(call: Reading) -> JSON:
    """The cost of a request. What has not all of its rates is absent: a part would look like the
    whole."""
    rates = own_rates(
        call.rates, text(call.payload.get("provider")), text(call.payload.get("model_name"))
    )
    used = request_usage(_metrics(call)) if rates and call.usage else None
    found = by_unit(used, rates) if used is not None and rates else {}
    into = _sum(usd for unit, usd in found.items() if unit not in OUTPUT)
    out = _sum(usd for unit, usd in found.items() if unit in OUTPUT)
    total = _sum(found.values())
    details = without_none({"input": into, "output": out, "total": total})
    return {
        "llm.cost.prompt": into,
        "llm.cost.completion": out,
        "llm.cost.total": total,
        "langfuse.observation.cost_details": as_text(details) if details else None,
    }


def _metrics(call: Reading) -> JSON:
    """LiveKit's metrics of the request. What the node of an LLM gave has their names, too."""
    if call.type == SpanType.REALTIME:
        return {"type": "realtime_model_metrics", **mapping(call.result.get("usage"))}
    measured = mapping(call.result.get("metrics"))
    used = measured if "type" in measured else mapping(call.result.get("usage"))
    return {"type": "llm_metrics", **used}


def _sum(parts: Iterable[float | None]) -> float | None:
    """``None``: there is nothing, or a part is not known."""
    known = list(parts)
    priced = [usd for usd in known if usd is not None]
    return sum(priced) if priced and len(priced) == len(known) else None
