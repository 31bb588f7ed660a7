"""How a call is registered: with which version of the agent, which schemas and which name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from prefactor_core.runtime import (  # type: ignore[import-untyped]
    build_runtime_environment,
)
from pydantic_core import to_json

from ...config import Settings
from ...core.json import JSON, without_none
from ...schemas.catalog import TOOL_PREFIX, agent_schema_version
from ...schemas.entry import ToolSchema


def registration(
    session_id: str,
    payload: JSON,
    known_tools: Iterable[str],
    settings: Settings,
    sdk: str,
    declared_tools: JSON | None = None,
) -> JSON:
    """The body of the request that registers a call.

    Args:
        payload: Of the session's span.
        known_tools: Span types of tools that other calls used.
        declared_tools: By name, what the program says of its tools: of all tools, also those of
            agents that come later in the call.
    """
    declared = {name: ToolSchema(**options) for name, options in (declared_tools or {}).items()}
    known = payload.get("tools")
    # The user may have redacted anything: then there is a text in its place.
    tools = {name for name in known if isinstance(name, str)} if isinstance(known, list) else set()
    name = settings.agent_name or str(
        payload.get("agent_class") or payload.get("agent_name") or "agent"
    )
    body: JSON = {
        "agent_version": {
            "name": name,
            "external_identifier": settings.agent_version or _fingerprint(payload, settings),
            "runtime_environment": build_runtime_environment(sdk),
        },
        "agent_schema_version": agent_schema_version(
            {
                *known_tools,
                *(TOOL_PREFIX + tool for tool in (*tools, *declared)),
                *tool_types_of(payload),
            },
            declared,
            chosen=dict(settings.schemas) if settings.schemas else None,
            quality=settings.quality_schemas,
            marked=settings.mark_sensitive,
        ),
        "external_identifier": _external(session_id, payload),
        "purpose": settings.purpose,
        "agent_id": settings.agent_id,
        "environment_id": settings.environment_id,
        "idempotency_key": f"{session_id}-register",
    }
    return without_none(body)


def _external(session_id: str, payload: JSON) -> str:
    """The names of the room and the job, if any, which a user finds in LiveKit's own logs, and the
    session's id: a job can have several sessions, and the name has to be unique."""
    found = (_part(payload.get("room"), "name"), _part(payload.get("job"), "id"))
    parts = [part for part in found if isinstance(part, str) and part]
    return "/".join([*parts, session_id])[-200:]


def _part(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def given_instance(payload: JSON) -> JSON | None:
    """The instance that the program registered itself for this call, if it did: its ``id``, and
    ``supplied`` if the program also starts and ends it.

    Args:
        payload: Of the session's span.
    """
    given = payload.get("instance")
    return given if isinstance(given, dict) and isinstance(given.get("id"), str) else None


def tool_types_of(payload: JSON) -> set[str]:
    """The span types that the program chose for its tools.

    Args:
        payload: Of the session's span.
    """
    metadata = payload.get("metadata")
    chosen = metadata.get("tool_span_types") if isinstance(metadata, dict) else None
    values = chosen.values() if isinstance(chosen, dict) else ()
    return {type_ for type_ in values if isinstance(type_, str) and type_.startswith(TOOL_PREFIX)}


def _fingerprint(payload: JSON, settings: Settings) -> str:
    about = {key: payload.get(key) for key in ("agent_class", "tools", "instructions")}
    if settings.agent_name is not None:
        about["agent_name"] = settings.agent_name
    return hashlib.sha256(to_json(about)).hexdigest()[:16]
