"""The agent that a user writes: LiveKit's own, traced.

How the nodes are intercepted: attribute access on the instance gives the traced form of whatever is
found there, and class access is left alone. So an override is traced once, wherever it stands (in
the class, a mixin, on the instance, patched in later), together with what it calls through
``super()`` or ``Agent.default``, which do not go through the instance; and ``type(agent).stt_node
is Agent.stt_node`` stays true, without which LiveKit would reconnect the STT at each handoff
(voice/agent_activity.py, ``_detach_reusable_resources``). Nothing is kept on the instance, so
``copy`` and ``pickle`` know nothing of it. The price is about 0.15 microseconds for each attribute
read of an agent; LiveKit makes some 95 in a turn with a tool."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from livekit.agents import Agent, AgentTask

from .ahead import import_for_calls
from .record.intercept.forms import INTERCEPTED, traced
from .record.session.handoffs import awaited
from .tracing import ATTACHING, tracer

T = TypeVar("T")


class _Traced:
    """What makes an agent traced; before LiveKit's class in the bases."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if cls.__module__ != __name__:  # an agent's file is imported, and its settings are known
            import_for_calls()

    def __getattribute__(self: Any, name: str) -> Any:
        if name in INTERCEPTED:
            original = super().__getattribute__(name)
            if name in ATTACHING:
                tracer.attach(self)
            form = traced(tracer, self, name, original)
            return original if form is None else form
        return super().__getattribute__(name)


class TracedAgent(_Traced, Agent):
    """LiveKit's ``Agent``, with every call of its nodes, hooks and ``@traced_tool``s recorded.

    Takes the arguments of ``livekit.agents.Agent`` and behaves the same. The trace attaches itself
    to the session that the agent is started in."""

    @property
    def id(self) -> str:
        # LiveKit gives this id to its own class only (Agent.__init__ compares the type); a subclass
        # is named after its class.
        return "default_agent" if type(self) is TracedAgent else super().id


class TracedAgentTask(_Traced, AgentTask[T]):
    """LiveKit's ``AgentTask``, traced as :class:`TracedAgent` is."""

    @property
    def id(self) -> str:
        return "agent_task" if type(self) is TracedAgentTask else super().id

    def __await__(self) -> Generator[None, None, T]:
        awaited(self)
        return super().__await__()
