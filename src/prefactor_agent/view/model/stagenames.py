"""The stages of a silence (docs/latency.md): how each is called, in which order they come, and who
is at work in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...conversation import UNATTRIBUTED


class _Stage(NamedTuple):
    label: str
    """On the page, and in the words of docs/latency.md."""
    family: str
    """Who is at work, by which it gets its colour: the variables of page.css."""
    bar: str | None = None
    """The row of the waterfall that it is seen in, if that has another name."""


PERCEIVED = "perceived"
"""The whole silence, where it stands among its stages."""

_STAGES = {
    # In the order in which they follow each other. A later request to the model has its number
    # behind the name.
    "vad": _Stage("end-of-speech detection", "hear"),
    "transcript": _Stage("final transcript", "hear", "stt"),
    "endpointing": _Stage("endpointing", "hear"),
    "on_user_turn_completed": _Stage("on_user_turn_completed", "hook", "turn hook"),
    "handoff": _Stage("handoff", "hook"),
    "on_enter": _Stage("on_enter", "hook"),
    "llm_queue": _Stage("before the LLM call", "llm"),
    "llm_ttft": _Stage("LLM to first token", "llm", "llm"),
    "llm_tool_call": _Stage("LLM to tool call", "llm", "llm"),
    "tool": _Stage("tool", "tool"),
    "realtime_response": _Stage("realtime response", "llm", "realtime"),
    "realtime_ttfb": _Stage("realtime to first audio", "llm", "realtime"),
    "first_sentence": _Stage("first token to TTS", "tts", "llm"),
    "tts_ttfb": _Stage("TTS to first audio", "tts", "tts"),
    "previous_speech": _Stage("previous speech", "play", "agent"),
    "playback": _Stage("first audio to playback", "play"),
    "leading_silence": _Stage("leading silence of the voice", "quiet"),
    UNATTRIBUTED: _Stage("unattributed", "none"),
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
    """What a stage is called on the page."""
    if stage == PERCEIVED:
        return "dead air"
    kind, round_ = base(stage)
    if kind == "tool":
        return f"tool {stage.removeprefix('tool:')}" if ":" in stage else "tool"
    if kind not in _STAGES:
        return stage.replace("_", " ")
    return _STAGES[kind].label + (f" ({round_})" if round_ > 1 else "")


def family(stage: str) -> str:
    """Who is at work in a stage, by which it gets its colour."""
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
    comes after the first one's tools; one of an unknown name comes last. The whole silence is
    first."""
    if stage == PERCEIVED:
        return (-1, 0, 0, stage)
    kind, round_ = base(stage)
    at, first, last = _ORDER.get(kind, len(_ORDER)), _ORDER["llm_queue"], _ORDER["tool"]
    return (first, round_, at, stage) if first <= at <= last else (at, 0, 0, stage)
