"""The quality of a call as Prefactor is told of it: the figures that our own lists give, and what
was used and said of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pydantic_core import from_json

from ...core.json import JSON
from ...core.values import as_int, as_list, mapping, number

_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")
_READ = {"livekit:session", "livekit:llm", "livekit:stt", "livekit:tts", "livekit:realtime"}
"""The types whose results are read."""


def quality(spans: Iterable[tuple[str, str, str | None]], figures: JSON) -> JSON:
    """The quality payload of a call. What was not measured is absent.

    Args:
        spans: Type, status and result (JSON) of each of its spans.
        figures: Of the call (:func:`....figures.figures`).
    """
    tokens: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    judged: JSON = {}
    for type_, _, text in spans:
        if type_ not in _READ:
            continue
        result = _read(text)
        if type_ == "livekit:session":
            judged = _judged(result)
        elif type_ == "livekit:llm":
            _add_tokens(tokens, result)
        elif type_ == "livekit:stt":
            _add_seconds(seconds, "user_speech_seconds", result)
        elif type_ in ("livekit:tts", "livekit:realtime"):
            _add_seconds(seconds, "agent_speech_seconds", result)
            _add_tokens(tokens, result)  # of a realtime model
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    return {**figures, **tokens, **rounded, **judged}


def records_of_program(session: JSON) -> list[tuple[str, JSON]]:
    """The quality payloads that the program recorded itself, by name.

    Args:
        session: The payload of the session's span.
    """
    records = mapping(session.get("quality"))
    return [(name, record) for name, record in records.items() if isinstance(record, dict)]


def _add_seconds(sums: defaultdict[str, float], name: str, result: JSON) -> None:
    found = number(result.get("audio_seconds"))
    if found is not None and found >= 0:
        sums[name] += found


def _add_tokens(counts: Counter[str], result: JSON) -> None:
    usage = mapping(result.get("token_usage"))
    for name in _TOKENS:
        found = as_int(usage.get(name))
        if found is not None and found >= 0:
            counts[name] += found


def _judged(session: JSON) -> JSON:
    """The outcome, and how many judges said what: LiveKit counts a ``maybe`` as a half."""
    judged: JSON = {}
    if session.get("outcome") in ("success", "fail"):
        judged["outcome"] = session["outcome"]
    if evaluations := as_list(session.get("evaluations")):
        verdicts = [mapping(one).get("verdict") for one in evaluations]
        points = sum({"pass": 1.0, "maybe": 0.5}.get(str(one), 0.0) for one in verdicts)
        judged["evaluations"] = len(verdicts)
        judged["evaluation_score"] = round(points / len(verdicts), 3)
    return judged


def _read(text: str | None) -> JSON:
    try:
        return mapping(from_json(text)) if text else {}
    except ValueError:  # damaged in the journal: the other spans still count
        return {}
