"""What delivery knows of a call between two rounds, and of its own work."""

from __future__ import annotations

from dataclasses import dataclass

from ..schemas.catalog import TOOL_PREFIX


class CallParkedError(Exception):
    """The call as a whole is refused."""


@dataclass
class Progress:
    """What was done so far, for whoever watches."""

    sent: int = 0
    """Beginnings and ends that were acknowledged."""
    spans: int = 0
    """Spans that are done with."""
    parked: int = 0
    calls: int = 0


@dataclass
class RegisteredCall:
    """A call that is registered at Prefactor."""

    instance_id: str
    remote: dict[str, str]
    """The ids that Prefactor made itself, by our own."""
    schemas: frozenset[str]
    last_checked: float = 0.0
    """When Prefactor last said whether the call may go on: monotonic seconds."""
    terminated: bool = False

    def schema(self, type_: str) -> str:
        """The type a span is sent as. A tool that nobody knew of when the call was registered goes
        under the type of all tools; its name is in the payload."""
        if type_ in self.schemas or not type_.startswith(TOOL_PREFIX):
            return type_
        return "livekit:tool"

    def id_of(self, span_id: str) -> str:
        """The id of a span at Prefactor."""
        return self.remote.get(span_id) or related_id(span_id, self.instance_id)


def related_id(span_id: str, instance_id: str) -> str:
    """An id of ours in the partition of the instance, which is the account's: as
    ``pfid.generate_related`` would make it, but the same every time."""
    return span_id[:10] + instance_id[10:16] + span_id[16:]
