"""The stages of a silence (docs/latency.md): how each is called, in which order they come, and who
is at work in it."""

from __future__ import annotations

import re
from typing import NamedTuple


class _Stage(NamedTuple):
    label: str
    """On the page, and in a table."""
    meaning: str
    """In a sentence: what the time went into."""
    family: str
    """Who is at work: the colour of it."""
    bar: str | None = None
    """The row of the waterfall that it is seen in, if that has another name."""


_STAGES = {
    # In the order in which they follow each other. A later request to the model has its number
    # behind the name.
    "vad": _Stage("end-of-speech detection", "noticing that the caller had stopped", "hear"),
    "transcript": _Stage("final transcript", "the final transcript", "hear", "stt"),
    "endpointing": _Stage(
        "endpointing", "waiting whether the caller would go on", "hear", "end of turn"
    ),
    "on_user_turn_completed": _Stage(
        "on_user_turn_completed", "the hook on_user_turn_completed", "hook", "turn hook"
    ),
    "handoff": _Stage("handoff", "the handoff to another agent", "hook"),
    "on_enter": _Stage("on_enter", "the hook on_enter", "hook"),
    "llm_queue": _Stage("before the LLM call", "getting to the language model", "llm"),
    "llm_ttft": _Stage("LLM to first token", "the language model's first token", "llm", "llm"),
    "llm_tool_call": _Stage(
        "LLM to tool call", "the language model writing its tool call", "llm", "llm"
    ),
    "tool": _Stage("tool", "a tool", "tool"),
    "realtime_response": _Stage(
        "realtime response", "the realtime model's answer", "llm", "realtime"
    ),
    "realtime_ttfb": _Stage(
        "realtime to first audio", "the realtime model's first audio", "llm", "realtime"
    ),
    "first_sentence": _Stage(
        "first token to TTS", "the language model's first sentence", "tts", "llm"
    ),
    "tts_ttfb": _Stage("TTS to first audio", "the voice's first audio", "tts", "tts"),
    "previous_speech": _Stage(
        "previous speech", "the agent's earlier words playing out", "play", "agent"
    ),
    "playback": _Stage("first audio to playback", "getting the audio played", "play"),
    "leading_silence": _Stage(
        "leading silence of the voice", "the silence that the voice begins with", "quiet"
    ),
    "unattributed": _Stage("unattributed", "something that the trace cannot name", "none"),
}
_ORDER = {name: index for index, name in enumerate(_STAGES)}
_ROUND = re.compile(r"(llm_\w+?)_(\d+)$")


def base(stage: str) -> tuple[str, int]:
    """The kind of a stage, and the request to the model that it belongs to: ``llm_ttft_2`` is
    ``("llm_ttft", 2)``."""
    if stage.startswith("tool:"):
        return "tool", 1
    found = _ROUND.match(stage)
    if found and found[1] in _STAGES:
        return found[1], int(found[2])
    return stage, 1


def label(stage: str) -> str:
    """``perceived`` is the whole silence."""
    if stage == "perceived":
        return "dead air"
    kind, round_ = base(stage)
    if kind == "tool":
        return f"tool {stage.removeprefix('tool:')}" if ":" in stage else "tool"
    if kind not in _STAGES:
        return stage.replace("_", " ")
    return _STAGES[kind].label + (f" ({round_})" if round_ > 1 else "")


def meaning(stage: str) -> str:
    """A stage in plain English, to stand in a sentence."""
    name, _, rest = stage.partition(":")
    if rest:
        return f"the {name} {rest.replace('+', ' and ')}"
    kind, round_ = base(stage)
    if kind not in _STAGES:
        return stage
    return _STAGES[kind].meaning + (f" (request {round_})" if round_ > 1 else "")


def family(stage: str) -> str:
    kind = base(stage)[0]
    return _STAGES[kind].family if kind in _STAGES else "none"


def bar(stage: str) -> str:
    """The label of the waterfall's row that a stage is seen in."""
    kind = base(stage)[0]
    if kind == "tool":
        return stage.removeprefix("tool:")
    return (_STAGES[kind].bar if kind in _STAGES else None) or stage


def place(stage: str) -> tuple[int, int, int, str]:
    """Where a stage stands among the others, as a key to sort by: a second request to the model
    comes after the first one's tools; one of an unknown name comes last."""
    kind, round_ = base(stage)
    at, first, last = _ORDER.get(kind, len(_ORDER)), _ORDER["llm_queue"], _ORDER["tool"]
    return (first, round_, at, stage) if first <= at <= last else (at, 0, 0, stage)
