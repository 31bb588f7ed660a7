"""Which turn and which tool the running code belongs to.

``speech_created`` is emitted synchronously, before LiveKit creates the task that will run the nodes
and tools of that speech, and in the same context (voice/agent_activity.py, ``_generate_reply`` and
``say``): a variable set in its handler is inherited by all of them. A traced tool sets its variable
while its body runs: what the body calls and starts inherits it, and so does an ``AgentTask`` that
it awaits."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from livekit.agents import llm

    from .span import Span
    from .turns import AssistantTurn


class RunningTool(NamedTuple):
    """A run of a traced tool's body."""

    span: Span
    request: llm.FunctionCall | None
    """The model's call that it runs for, which the tools that it calls itself run for too."""


current_turn: ContextVar[AssistantTurn | None] = ContextVar("prefactor_agent_turn", default=None)
current_tool: ContextVar[RunningTool | None] = ContextVar("prefactor_agent_tool", default=None)


def running_tool(session_id: str) -> RunningTool | None:
    """The tool of this session whose body the running code is part of, or was started by, if it
    still runs.

    A context outlives what it was made in: LiveKit's long-lived tasks keep the variable of a tool
    that started or resumed an agent."""
    tool = current_tool.get()
    mine = tool is not None and tool.span.open and tool.span.session_id == session_id
    return tool if mine else None
