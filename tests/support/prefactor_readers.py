"""What Prefactor's own readers make of spans, from their sources: the open dashboard's costs
(``server/sync.mjs``, ``src/lib/cost.ts``), the open evals (``source.py``, ``evals/core``). Only
what they read is read here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prefactor_agent.stored.span import StoredSpan

from .prefactor_server.process import Span

JSON = dict[str, Any]

STEP_TYPES = {"tool_call", "llm_call", "retrieval", "handoff", "output", "other"}
"""What a step can be to the evals (``spec/schema/v1/span.md``)."""
EVALS = {
    "core.errors": {"max_failures"},
    "core.loop_detection": {"max_occurrences", "ignore_tools", "ignore_arg_keys"},
    "core.redundant_tool_calls": {"max_repeats", "ignore_tools", "ignore_arg_keys"},
    "core.termination_state": {"allow_states", "max_duration_ms"},
    "core.latency_budget": {"max_span_ms", "max_instance_ms", "span_types", "ignore_spans"},
    "core.efficiency": {"tolerance", "floor"},
    "core.conversation_length": {"tolerance", "floor", "turn_span_names"},
}
"""The evals that need nothing that only the user knows, and what each can be set to."""


@dataclass
class ModelCost:
    """What the dashboard shows of one model."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def costs(spans: Iterable[Span]) -> dict[str, ModelCost]:
    """The dashboard's view of costs, by model. A request is a span with ``token_usage``."""
    found: dict[str, ModelCost] = defaultdict(ModelCost)
    for span in spans:
        usage = span.payload.get("token_usage")
        if not isinstance(usage, dict):
            continue
        model = _at(span.payload, "inputs", "ai", "model", "id")
        cost = found[model if isinstance(model, str) else "unknown"]
        cost.calls += 1
        cost.prompt_tokens += usage.get("prompt_tokens") or 0
        cost.completion_tokens += usage.get("completion_tokens") or 0
        error = _at(span.payload, "error", "error_type")
        finish = _at(span.payload, "outputs", "ai", "finishReason") or _at(
            span.result, "ai", "finishReason"
        )
        cost.errors += isinstance(error, str)
        cost.reasons[f"error: {error}" if error else finish or "unknown"] += 1
    return dict(found)


def failures(spans: Iterable[Span]) -> list[tuple[str, str]]:
    """The steps that failed, as the evals count and name them: name, and what is said of why."""
    return [
        (
            str(span.payload.get("name") or span.type),
            _at(span.payload, "error", "message")
            or _at(span.payload, "error", "error_type")
            or "no error detail recorded",
        )
        for span in spans
        if span.status == "failed"
    ]


def sensitive_labels(spans: Iterable[Span]) -> Counter[str]:
    """The labels of values that are marked as sensitive, each counted once a span: the dashboard
    looks through payloads, as deep as here."""

    def within(value: Any, depth: int = 0) -> set[str]:
        if depth > 6 or not isinstance(value, dict | list):
            return set()
        if isinstance(value, dict) and "$sensitive" in value:
            return {*value.get("labels", [])}
        below = value.values() if isinstance(value, dict) else value
        return set().union(*(within(one, depth + 1) for one in below))

    return Counter(label for span in spans for label in within(span.payload))


def verdicts(spans: Iterable[Span]) -> list[str]:
    """The types of the spans that the evals take for the agent's verdict on its whole run: a text
    beside a group of numbers from 0 to 1 (or 0 to 100)."""

    def scores(value: Any) -> bool:
        return isinstance(value, dict) and bool(value) and all(map(_is_score, value.values()))

    return [
        span.type
        for span in spans
        if any(isinstance(one, str) and one.strip() for one in (span.result or {}).values())
        and any(map(scores, (span.result or {}).values()))
    ]


def steps(spans: Iterable[Span], types: Mapping[str, str]) -> dict[str, list[str]]:
    """The names of the steps by the evals' own types of them, as a pack maps them."""
    found: dict[str, list[str]] = defaultdict(list)
    for span in spans:
        found[types.get(span.type, "other")].append(str(span.payload.get("name") or span.type))
    return dict(found)


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class DashboardSync:
    """What a dashboard that runs knows of the spans: at each look it reads the newest ids first, a
    page at a time, until a page has one that it knows (``server/sync.mjs``)."""

    def __init__(self, page: int = 100) -> None:
        self.known: dict[str, Span] = {}
        self._page = page

    def look(self, spans: Iterable[Span]) -> None:
        newest = sorted(spans, key=lambda span: span.id, reverse=True)
        for begun in range(0, len(newest), self._page):
            page = newest[begun : begun + self._page]
            fresh = [span for span in page if span.id not in self.known]
            self.known.update((span.id, span) for span in fresh)
            if len(fresh) < len(page):
                return


def expected_status(span: StoredSpan, by_id: Mapping[str, StoredSpan]) -> str:
    """The status at Prefactor, where one of the spans that tell of one failure has failed."""
    if span.status != "failed":
        return span.status
    if span.type != "livekit:session" and (span.result or {}).get("lost_end"):
        return "cancelled"
    return "failed" if _reports(span, by_id) else "complete"


def _reports(span: StoredSpan, by_id: Mapping[str, StoredSpan]) -> bool:
    """Whether of the spans that tell of one failure, a failed one is the one that counts."""
    if span.type in ("livekit:tool_result", "livekit:user_turn", "livekit:assistant_turn"):
        return False
    if span.type == "livekit:error":
        above = by_id.get(span.parent_id or "")
        by_above = (
            above is not None
            and above.type != "livekit:session"
            and expected_status(above, by_id) == "failed"
        )
        return not span.payload.get("recoverable") and not by_above
    if span.type == "livekit:session":
        error = _words(span)
        others = [one for one in by_id.values() if one is not span and one.status == "failed"]
        return error is None or not any(
            _words(one) == error and expected_status(one, by_id) == "failed" for one in others
        )
    return True


def _words(span: StoredSpan) -> tuple[Any, Any] | None:
    error = (span.result or {}).get("error")
    return (error.get("error_type"), error.get("message")) if isinstance(error, dict) else None
