"""A call that comes over the telephone network, as LiveKit's SIP service describes it in attributes
of its participant (``sip.callID``, ``sip.trunkID`` …; livekit-protocol, ``livekit_sip``).

The same attributes are among those of the participant; here they have names of their own, so that
what is no content (ids, the status) is told from what is (telephone numbers)."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.json import JSON, without_none

KEPT = 50
"""Changes of status that are kept of each participant."""
STATUS = "sip.callStatus"
_NAMES = {
    "call_id": "sip.callID",
    "call_id_full": "sip.callIDFull",
    "trunk_id": "sip.trunkID",
    "rule_id": "sip.ruleID",
    "hostname": "sip.hostname",
    "call_status": STATUS,
    "phone_number": "sip.phoneNumber",
    "trunk_phone_number": "sip.trunkPhoneNumber",
}


class Sip:
    """What the SIP service says of the participants of one session's room."""

    def __init__(self) -> None:
        self._statuses: dict[str, list[JSON]] = {}

    def note(self, identity: str, attributes: Mapping[str, str] | None, at_us: int) -> None:
        """The attributes of a participant, as they are at this moment of the call."""
        status = (attributes or {}).get(STATUS)
        if not status:
            return
        known = self._statuses.setdefault(identity, [])
        if (not known or known[-1]["status"] != status) and len(known) < KEPT:
            known.append({"at_us": at_us, "status": status})

    def result(self, people: Mapping[str, JSON], linked: str | None) -> JSON | None:
        """The telephone call of whom the session listens to, or of the first who has one."""
        first = linked if linked is not None else next(iter(self._statuses), None)
        attributes = people.get(first or "", {}).get("attributes") or {}
        found = without_none({ours: attributes.get(theirs) for ours, theirs in _NAMES.items()})
        if not found:
            return None
        statuses = self._statuses.get(first or "")
        return {**found, **({"statuses": statuses} if statuses else {})}
