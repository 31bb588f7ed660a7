"""What delivery remembers of a registered call between two rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...schemas.catalog import TOOL_PREFIX


class CallParkedError(Exception):
    """Prefactor refuses the call as a whole."""


@dataclass
class RegisteredCall:
    """A call that is registered at Prefactor."""

    instance_id: str
    remote: dict[str, str]
    """The ids that Prefactor made itself, by the ids made here."""
    schemas: frozenset[str]
    risks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The data risk that each type is registered with, where it is known."""
    instructions: str | None = None
    """Those in the payload of the session's span."""
    last_checked: float = 0.0
    """When Prefactor last said whether the call may go on: monotonic seconds."""
    terminated: bool = False

    def schema(self, type_: str) -> str:
        """The type that a span is sent as. A tool that was not known when the call was registered
        is sent under the type of all tools; its name is in the payload."""
        if type_ in self.schemas or not type_.startswith(TOOL_PREFIX):
            return type_
        return "livekit:tool"

    def id_of(self, span_id: str) -> str:
        """The id of a span at Prefactor."""
        return self.remote.get(span_id) or related_id(span_id, self.instance_id)


def related_id(span_id: str, instance_id: str) -> str:
    """The id of a span in the partition of the instance, which is the account's: as
    ``pfid.generate_related`` would make it, but the same every time."""
    return span_id[:10] + instance_id[10:16] + span_id[16:]
