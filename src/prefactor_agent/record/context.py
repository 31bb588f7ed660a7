"""Which turn the running code belongs to.

``speech_created`` is emitted synchronously, before LiveKit creates the task that will run the nodes
and tools of that speech, and in the same context (voice/agent_activity.py, ``_generate_reply`` and
``say``): a variable set in its handler is inherited by all of them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .span import Span
    from .turns import AssistantTurn

current_turn: ContextVar[AssistantTurn | None] = ContextVar("prefactor_agent_turn", default=None)
current_tool: ContextVar[Span | None] = ContextVar("prefactor_agent_tool", default=None)
