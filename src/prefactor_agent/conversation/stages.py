"""The names of the stages that a silence is cut into. ``docs/latency.md`` explains each of them."""

from __future__ import annotations

import re

from .split import UNATTRIBUTED

PERCEIVED = "perceived"
"""The silence as a whole, where it stands among its stages."""

VAD = "vad"
TRANSCRIPT = "transcript"
ENDPOINTING = "endpointing"
TURN_HOOK = "on_user_turn_completed"
ANSWERING_MACHINE = "answering_machine"
PROGRAM_CALL = "program_call"
HANDOFF = "handoff"
ON_ENTER = "on_enter"
LLM_QUEUE = "llm_queue"
LLM_TTFT = "llm_ttft"
LLM_TOOL_CALL = "llm_tool_call"
TOOL = "tool"
"""The kind of all stages ``tool:NAME``."""
REALTIME_RESPONSE = "realtime_response"
REALTIME_TTFB = "realtime_ttfb"
FIRST_SENTENCE = "first_sentence"
TTS_TTFB = "tts_ttfb"
PREVIOUS_SPEECH = "previous_speech"
FALSE_INTERRUPTION = "false_interruption"
PLAYBACK = "playback"
LEADING_SILENCE = "leading_silence"

ORDER = (
    VAD,
    TRANSCRIPT,
    ENDPOINTING,
    TURN_HOOK,
    ANSWERING_MACHINE,
    PROGRAM_CALL,
    HANDOFF,
    ON_ENTER,
    LLM_QUEUE,
    LLM_TTFT,
    LLM_TOOL_CALL,
    TOOL,
    REALTIME_RESPONSE,
    REALTIME_TTFB,
    FIRST_SENTENCE,
    TTS_TTFB,
    PREVIOUS_SPEECH,
    FALSE_INTERRUPTION,
    PLAYBACK,
    LEADING_SILENCE,
    UNATTRIBUTED,
)
"""The kinds of stages, in the order in which they follow each other."""

PICKUP = "pickup"
"""The silence before the agent is heard first, where it stands among its stages."""

DISPATCH = "dispatch"
ACCEPT = "accept"
ASSIGNMENT = "assignment"
PROCESS = "process"
IMPORT = "import"
PREWARM = "prewarm"
CONNECT = "connect"
ENTRYPOINT = "entrypoint"
SESSION_START = "session_start"
PROGRAM = "program"
CALLER = "caller"
"""Also what the end of a pickup is based on where the caller spoke first."""

PICKUP_ORDER = (
    DISPATCH,
    ACCEPT,
    ASSIGNMENT,
    PROCESS,
    IMPORT,
    PREWARM,
    CONNECT,
    ENTRYPOINT,
    SESSION_START,
    PROGRAM,
    CALLER,
)
"""The kinds of stages that only a pickup has, in the order in which they follow each other; behind
them come those of the greeting, which are those of an answer."""
_OF_A_LATER_REQUEST = re.compile(rf"({LLM_QUEUE}|{LLM_TTFT}|{LLM_TOOL_CALL})_(\d+)")


def base(stage: str) -> tuple[str, int]:
    """The kind of a stage, and the request to the model that it belongs to: ``llm_ttft_2`` is
    ``("llm_ttft", 2)``."""
    if stage.startswith(f"{TOOL}:"):
        return TOOL, 1
    found = _OF_A_LATER_REQUEST.fullmatch(stage)
    return (found[1], int(found[2])) if found else (stage, 1)


def numbered(kind: str, request: int) -> str:
    """The stage of one of several requests to the model: the later ones have their number."""
    return f"{kind}_{request}" if request > 1 else kind


def of_tool(name: str) -> str:
    """The stage of a tool."""
    return f"{TOOL}:{name}"


def tool_name(stage: str) -> str:
    """The name of the tool of a stage; any other stage as it is."""
    return stage.removeprefix(f"{TOOL}:")


def is_stage(name: str) -> bool:
    """Whether a stage of the silence before an answer can have this name."""
    if name.startswith(f"{TOOL}:"):
        return tool_name(name) != ""
    return name != TOOL and base(name)[0] in ORDER
