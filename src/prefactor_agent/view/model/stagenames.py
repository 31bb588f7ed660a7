"""How the stages of a silence are called where people read them, in which order they come, and who
is at work in each. Their names are in :mod:`prefactor_agent.conversation.stages`."""

from __future__ import annotations

from typing import NamedTuple

from ...conversation import UNATTRIBUTED, stages


class _Stage(NamedTuple):
    label: str
    """On the page, and in the words of docs/latency.md."""
    family: str
    """Who is at work, by which it gets its colour: the variables of page.css."""
    bar: str | None = None
    """The row of the waterfall that it is seen in, if that has another name."""


_STAGES = {
    stages.VAD: _Stage("end-of-speech detection", "hear"),
    stages.TRANSCRIPT: _Stage("final transcript", "hear", "stt"),
    stages.ENDPOINTING: _Stage("endpointing", "hear"),
    stages.TURN_HOOK: _Stage("on_user_turn_completed", "hook", "turn hook"),
    stages.ANSWERING_MACHINE: _Stage("answering machine detection", "hook"),
    stages.PROGRAM_CALL: _Stage("before your code asked for it", "hook"),
    stages.HANDOFF: _Stage("handoff", "hook"),
    stages.ON_ENTER: _Stage("on_enter", "hook"),
    stages.LLM_QUEUE: _Stage("before the LLM call", "llm"),
    stages.LLM_TTFT: _Stage("LLM to first token", "llm", "llm"),
    stages.LLM_TOOL_CALL: _Stage("LLM to tool call", "llm", "llm"),
    stages.TOOL: _Stage("tool", "tool"),
    stages.REALTIME_RESPONSE: _Stage("realtime response", "llm", "realtime"),
    stages.REALTIME_TTFB: _Stage("realtime to first audio", "llm", "realtime"),
    stages.FIRST_SENTENCE: _Stage("first token to TTS", "tts", "llm"),
    stages.TTS_TTFB: _Stage("TTS to first audio", "tts", "tts"),
    stages.PREVIOUS_SPEECH: _Stage("previous speech", "play", "agent"),
    stages.FALSE_INTERRUPTION: _Stage("held for a false interruption", "play"),
    stages.PLAYBACK: _Stage("first audio to playback", "play"),
    stages.LEADING_SILENCE: _Stage("leading silence of the voice", "quiet"),
    UNATTRIBUTED: _Stage("unattributed", "none"),
    # Of a pickup alone
    stages.DISPATCH: _Stage("dispatch", "play"),
    stages.ACCEPT: _Stage("accepting the job", "play"),
    stages.ASSIGNMENT: _Stage("assignment", "play"),
    stages.PROCESS: _Stage("waiting for a process", "tool"),
    stages.IMPORT: _Stage("import", "tool"),
    stages.PREWARM: _Stage("prewarm", "tool"),
    stages.CONNECT: _Stage("connecting to the room", "hear"),
    stages.ENTRYPOINT: _Stage("entrypoint", "hook"),
    stages.SESSION_START: _Stage("starting the session", "hook"),
    stages.PROGRAM: _Stage("your code before the greeting", "hook"),
    stages.CALLER: _Stage("waiting for the caller", "quiet"),
}
_PLACES = {name: index for index, name in enumerate(stages.ORDER)}


def label(stage: str) -> str:
    """What a stage is called on the page."""
    if stage == stages.PERCEIVED:
        return "dead air"
    if stage == stages.PICKUP:
        return "pickup"
    kind, request = stages.base(stage)
    if kind == stages.TOOL and stage != stages.TOOL:
        return f"tool {stages.tool_name(stage)}"
    if kind not in _STAGES:
        return stage.replace("_", " ")
    return _STAGES[kind].label + (f" ({request})" if request > 1 else "")


def family(stage: str) -> str:
    """Who is at work in a stage, by which it gets its colour."""
    kind = stages.base(stage)[0]
    return _STAGES[kind].family if kind in _STAGES else "none"


def bar(stage: str) -> str:
    """The label of the waterfall's row that a stage is seen in."""
    kind = stages.base(stage)[0]
    if kind == stages.TOOL:
        return stages.tool_name(stage)
    return (_STAGES[kind].bar if kind in _STAGES else None) or stage


_ROWS = {
    stages.SESSION_START: "session start",
    stages.LLM_QUEUE: "before llm",
    stages.LLM_TOOL_CALL: "llm to tool",
    stages.FIRST_SENTENCE: "llm to tts",
    stages.REALTIME_TTFB: "first audio",
    stages.LEADING_SILENCE: "lead silence",
    stages.FALSE_INTERRUPTION: "held",
    stages.PREVIOUS_SPEECH: "other speech",
    stages.PROGRAM: "your code",
    stages.PROGRAM_CALL: "your code",
    stages.ANSWERING_MACHINE: "machine?",
}


def row(stage: str) -> str:
    """The label of a row that a stage has to itself in the terminal: at most 13 columns, but for
    the name of a tool."""
    kind, request = stages.base(stage)
    return (_ROWS.get(kind) or bar(stage)) + (f" {request}" if request > 1 else "")


def place(stage: str) -> tuple[int, int, int, str]:
    """Where a stage stands among the others, as a key to sort by: a second request to the model
    comes after the first one's tools; one of an unknown name comes last. The whole silence is
    first."""
    if stage in (stages.PERCEIVED, stages.PICKUP):
        return (-len(stages.PICKUP_ORDER) - 1, 0, 0, stage)
    kind, request = stages.base(stage)
    if kind in stages.PICKUP_ORDER:  # before those of the greeting
        return (stages.PICKUP_ORDER.index(kind) - len(stages.PICKUP_ORDER), 0, 0, stage)
    at = _PLACES.get(kind, len(_PLACES))
    first, last = _PLACES[stages.LLM_QUEUE], _PLACES[stages.TOOL]
    return (first, request, at, stage) if first <= at <= last else (at, 0, 0, stage)
