"""The toolsets of one session that could not be set up, as errors of the call."""

from __future__ import annotations

from typing import Any

from livekit.agents import Agent, AgentSession

from ...core.guard import guarded
from ..livekit.toolsets import SetupFailure, forget, take_failures
from ..turns.state import Scope


class Toolsets:
    """Looks for toolsets that failed whenever an agent was entered, or is about to speak."""

    def __init__(self, scope: Scope) -> None:
        self._state, self._signals = scope.state, scope.signals
        self._taken: list[SetupFailure] = []

    @guarded("toolsets.check")
    def check(self, entered: Agent | None = None) -> None:
        """Record what failed of the session's tools, and of those of the agent that is ``entered``,
        or has the call."""
        session = self._state.session
        if session is None:
            return
        agent = entered or _current(session)
        tools = [*getattr(session, "tools", ()), *(agent.tools if agent is not None else ())]
        for failure in take_failures(tools, _servers(session, agent)):
            self._taken.append(failure)
            self._signals.error.emit(failure.source, failure.error, None, None, None)

    def stop(self) -> None:
        """The session is over."""
        forget(self._taken)


def _current(session: AgentSession[Any]) -> Agent | None:
    try:
        return session.current_agent
    except RuntimeError:  # not started, or over
        return None


def _servers(session: AgentSession[Any], agent: Agent | None) -> list[Any]:
    found: list[Any] = []
    for owner in (session, agent):
        servers = getattr(owner, "mcp_servers", None)
        found += servers if isinstance(servers, list) else []
    return found
