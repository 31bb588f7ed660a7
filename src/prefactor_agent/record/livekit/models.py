"""Agents and their models as plain data. Reads public attributes only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from livekit.agents import Agent, AgentSession

from ...core.json import JSON, without_none
from . import private as livekit_private
from . import toolsets


def describe_model(owner: Any) -> JSON:
    """Label, model and provider of an STT, LLM, TTS or VAD, as far as it has them."""
    if owner is None or not (hasattr(owner, "label") or hasattr(owner, "capabilities")):
        return {}
    kind = type(owner)
    return without_none(
        {
            # A VAD has no label: it gets the one that LiveKit gives to all the others.
            "label": getattr(owner, "label", f"{kind.__module__}.{kind.__name__}"),
            "model_name": _known(getattr(owner, "model", None)),
            "provider": _known(getattr(owner, "provider", None)),
        }
    )


def model_of(agent: Agent | None, session: AgentSession[Any], kind: str) -> Any:
    """The agent's own ``stt``, ``llm``, ``tts`` or ``vad``, else the session's; an agent may say
    ``None``."""
    if agent is None:
        return getattr(session, kind, None)
    own = getattr(agent, kind, None)
    if own is None or hasattr(own, "label") or hasattr(own, "capabilities"):
        return own
    return getattr(session, kind, None)


def agent_payload(session: AgentSession[Any], agent: Agent | None) -> JSON:
    """What an agent brings to its session: with ``None``, what the session has by itself."""
    models = {
        kind: described
        for kind in ("stt", "llm", "tts", "vad")
        if (described := describe_model(model_of(agent, session, kind)))
    }
    tools = [*getattr(session, "tools", ())]
    if agent is None:
        return {"models": models, "tools": _offered(tools)}
    return {
        "agent_name": agent.id,
        "agent_class": type(agent).__name__,
        "models": models,
        "instructions": str(agent.instructions),
        "tools": _offered([*tools, *agent.tools]),
    }


def session_payload(session: AgentSession[Any], agent: Agent | None) -> JSON:
    """Who is talking, with which models."""
    return {
        "name": "livekit-session",
        "type": "livekit:session",
        "session_class": type(session).__name__,
        **agent_payload(session, agent),
        "metadata": {},
    }


def tool_names(tools: Iterable[Any]) -> list[str]:
    """The names of the tools, those inside toolsets among them."""
    return [*toolsets.names(tools)]


def _offered(tools: list[Any]) -> list[str]:
    """The names that a model is offered where a program gives it ``tools``."""
    return tool_names([*tools, *livekit_private.added_tools(tools)])


def _known(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value != "unknown" else None
