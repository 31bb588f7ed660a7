"""The span types: what they are called, what they hold, and how Prefactor is told."""

from .catalog import QUALITY, TOOL_PREFIX, agent_schema_version, registry
from .types import BASE_TYPES, ToolSchema

__all__ = [
    "BASE_TYPES",
    "QUALITY",
    "TOOL_PREFIX",
    "ToolSchema",
    "agent_schema_version",
    "registry",
]
