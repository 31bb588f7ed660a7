"""What is declared of a span type, and of a tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..core.json import JSON
from . import parts, templates
from .content import Part


class ToolSchema(NamedTuple):
    """What a user says of one tool, in place of what is assumed."""

    input_schema: JSON | None = None
    result_schema: JSON | None = None
    data_risk: JSON | None = None
    template: str | None = None
    description: str | None = None
    arguments: Sequence[Sequence[str]] = ()
    """Where its arguments are in ``inputs``, each a path of keys."""

    def params(self) -> JSON:
        """What the payload of its calls holds."""
        named = ", ".join(path[-1] for path in self.arguments)
        return parts.keys(inputs=named or "arguments")

    def summary(self) -> str:
        """Its one-line template: the program's, or one made from its arguments."""
        known = self.input_schema.get("properties") if self.input_schema else None
        named = [(name,) for name in known] if isinstance(known, dict) else []
        return self.template or templates.tool(self.arguments or named)


class SpanTypeSchema(NamedTuple):
    """One span type: its declaration to Prefactor, and which of its fields are no content."""

    name: str
    """``livekit:llm`` …"""
    title: str
    description: str
    template: str
    """The one-line summary (Liquid), see :mod:`.templates`."""
    params: JSON
    """JSON schema of the payload."""
    result: JSON
    """JSON schema of the result."""
    kept: Part
    """The fields of the payload that are kept without content capture."""
    kept_result: Part
    """The fields of the result that are kept without content capture."""
    risk: JSON
    """The data risk, see :mod:`.risk`."""

    def entry(self) -> JSON:
        """The type in the form in which it is registered at Prefactor."""
        return {
            "name": self.name,
            "params_schema": self.params,
            "result_schema": self.result,
            "title": self.title,
            "description": self.description,
            "template": self.template,
            "data_risk": self.risk,
        }
