"""LiveKit's job that a session runs in: its room, who is in the room, and how the job ended.

In a job the session closes first; LiveKit then calls ``on_session_end``, where a call is judged and
tagged, and after that all shutdown callbacks, which are told why the job ends
(ipc/job_proc_lazy_main.py, ``_run_job_task``). So the session's own span waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext, get_job_context

from . import judgement, livekit_private
from .clock import now_ns
from .guard import guarded
from .turns import without_none

if TYPE_CHECKING:
    from .session import SessionTrace

JSON = dict[str, Any]

WAIT_S = 60.0
"""How long the session's span waits for the end of the job; a job can outlive its session."""
LINK_S = 0.1
"""How long after a room is connected it is looked whom LiveKit listens to."""
PEOPLE_KEPT = 50
CHANGES_KEPT = 50
CRASHED = "job crashed"
"""LiveKit's reason when the entrypoint raised (ipc/job_proc_lazy_main.py, ``_on_entry_done``)."""


def current_job() -> JobContext | None:
    """The job that the running code belongs to; ``None`` in a test, or without a worker."""
    try:
        return get_job_context()
    except RuntimeError:
        return None


class Job:
    """What is known of a session's job and room, also where there is a room and no job."""

    def __init__(self, trace: SessionTrace, session: AgentSession[Any]) -> None:
        self._trace = trace
        self._context = current_job()
        self._room: rtc.Room | None = None
        self._people: dict[str, JSON] = {}
        self._linked: str | None = None
        self._left_room: str | None = None
        self._shutdown_reason: str | None = None
        self._is_over = False
        """Nothing more comes: the session's span waits no longer."""
        self._finish: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handlers: dict[str, Callable[..., Any]] = {
            "connection_state_changed": self._on_connection,
            "participant_connected": self._on_joined,
            "participant_disconnected": self._on_left,
            "participant_attributes_changed": self._on_attributes,
            "participant_metadata_changed": self._on_metadata,
            "disconnected": self._on_room_left,
        }
        self._follow(session)

    @property
    def crashed(self) -> bool:
        return self._shutdown_reason == CRASHED

    def payload(self) -> JSON:
        """What the session's span says of it from the beginning."""
        payload: JSON = {}
        if self._context is not None:
            payload |= self._described(self._context)
        if self._room is not None:
            payload["room"] = {**self._room_described(), **payload.get("room", {})}
        if self._linked is not None:
            payload["participant"] = self._person(self._linked)
        return payload

    @guarded("job.result")
    def result(self) -> JSON:
        """What is known of it at the end."""
        people = [without_none({**person}) for person in self._people.values()]
        return without_none(
            {
                "participants": people or None,
                "room_disconnect_reason": self._left_room,
                "shutdown_reason": self._shutdown_reason,
                **(judgement.told(self._context.tagger) if self._context is not None else {}),
            }
        )

    # The end

    def when_over(self, finish: Callable[[], object], **so_far: Any) -> None:
        """Have the session's span ended: once the job says why it ends, and at the latest in
        ``WAIT_S``; at once where nothing more can come. Until then it says ``so_far``."""
        context = self._context
        if context is None or context.is_fake_job() or self._is_over:
            self.let_go(finish)
            return
        self._trace.call.update(self._trace.call.root, **so_far)
        self._finish = finish
        self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._over)

    def told(self, reason: str) -> None:
        """The job ends, and says why."""
        self._shutdown_reason = reason or ""

    @guarded("job.shutdown")
    def shut_down(self) -> None:
        """The job has ended, after all its sessions: one that is still open, and is not being
        closed at this moment, LiveKit closes no more."""
        self._end()
        trace = self._trace
        if not trace.closed and not livekit_private.is_busy(trace.session):
            trace.closing.break_off()

    @guarded("job.exit")
    def process_ends(self) -> None:
        """What the job has not said by now is not said. Of a session that nobody began to close,
        nobody knows how it ended."""
        self._end()
        trace = self._trace
        if not trace.closed and (
            trace.closing.session_is_over or self._shutdown_reason is not None
        ):
            trace.closing.break_off()

    def _end(self) -> None:
        self._is_over = True
        self._over()

    @guarded("job.over")
    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (finish := self._finish) is not None:
            self._finish = None
            self.let_go(finish)

    def let_go(self, finish: Callable[[], object]) -> None:
        """Have the session's span ended now; what happens in the room is not followed further."""
        if (room := self._room) is not None:
            self._room = None
            for event, handler in self._handlers.items():
                room.off(event, handler)  # type: ignore[arg-type]  # a name is a literal there
        finish()

    # The room

    @guarded("job.follow")
    def _follow(self, session: AgentSession[Any]) -> None:
        try:
            room: Any = session.room_io.room
        except RuntimeError:  # a session without a room of its own
            room = self._context.room if self._context is not None else None
        if room is None:
            return
        self._room = room
        self._meet_all(room)
        self._link(session)
        self._link_later()
        for event, handler in self._handlers.items():
            room.on(event, handler)

    def _described(self, context: JobContext) -> JSON:
        job = context.job
        return without_none(
            {
                "job": without_none(
                    {
                        "id": _text(job.id),
                        "agent_name": _text(job.agent_name),
                        "dispatch_id": _text(getattr(job, "dispatch_id", None)),
                        "metadata": _text(job.metadata),
                    }
                ),
                "worker_id": _text(context.worker_id),
                "room": without_none({"name": _text(job.room.name), "sid": _text(job.room.sid)}),
            }
        )

    def _room_described(self) -> JSON:
        room = self._room
        return without_none(
            {
                "name": _text(getattr(room, "name", None)),
                "metadata": _text(getattr(room, "metadata", None)),
            }
        )

    def _meet(self, participant: rtc.RemoteParticipant) -> JSON | None:
        identity = _text(participant.identity)
        if identity is None:
            return None
        known = self._people.get(identity)
        if known is None:
            if len(self._people) >= PEOPLE_KEPT:
                return None
            known = self._people[identity] = {}
        known |= _described(participant)
        return known

    def _person(self, identity: str) -> JSON:
        keys = ("identity", "name", "sid", "kind", "metadata", "attributes")
        person = self._people.get(identity, {})
        return {key: person[key] for key in keys if person.get(key) is not None}

    def _link(self, session: AgentSession[Any] | None) -> bool:
        """Note whom the session listens to. Returns whether that is somebody else now."""
        if session is None:
            return False
        try:
            linked = session.room_io.linked_participant
            identity = _text(linked.identity) if linked is not None else None
        except RuntimeError:  # no link is told: the first who came
            others = (one for one, person in self._people.items() if person["kind"] != "agent")
            identity = self._linked or next(others, None)
        if identity is None or identity == self._linked:
            return False
        self._linked = identity
        return True

    def _tell_linked(self) -> None:
        if self._linked is not None:
            call = self._trace.call
            call.update(call.root, participant=self._person(self._linked))

    @guarded("job.connection_state_changed")
    def _on_connection(self, _state: Any = None) -> None:
        # Who was in the room before the agent is told by no event.
        if (room := self._room) is not None:
            self._meet_all(room)
            self._link_later()

    def _meet_all(self, room: rtc.Room) -> None:
        for participant in list(room.remote_participants.values()):
            self._meet(participant)

    def _link_later(self) -> None:
        # LiveKit links in a task of its own, once the room is connected (room_io.py _init_task).
        asyncio.get_running_loop().call_later(LINK_S, self._relink)

    @guarded("job.participant_connected")
    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if (person := self._meet(participant)) is not None:
            person["joined_us"] = self._now_us()
        # Who is linked is decided by LiveKit's own handler (room_io.py), which may come after.
        asyncio.get_running_loop().call_soon(self._relink)

    @guarded("job.link")
    def _relink(self) -> None:
        if self._room is not None and self._link(self._trace.session):
            self._tell_linked()

    @guarded("job.participant_disconnected")
    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if (person := self._meet(participant)) is not None:
            person["left_us"] = self._now_us()
            person["disconnect_reason"] = disconnect_reason(participant.disconnect_reason)

    @guarded("job.participant_attributes_changed")
    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        self._note_change(participant, {"attributes": dict(changed)})

    @guarded("job.participant_metadata_changed")
    def _on_metadata(self, participant: rtc.Participant, old: str, new: str) -> None:
        self._note_change(participant, {"metadata": new})

    def _note_change(self, participant: rtc.Participant, change: JSON) -> None:
        if not isinstance(participant, rtc.RemoteParticipant):
            return  # the agent's own, which the framework uses for its state
        person = self._meet(participant)
        if person is None:
            return
        changes: list[JSON] = person.setdefault("changes", [])
        if len(changes) < CHANGES_KEPT:
            changes.append({"at_us": self._now_us(), **change})
        if participant.identity == self._linked:
            self._tell_linked()

    @guarded("job.room_disconnected")
    def _on_room_left(self, reason: Any = None) -> None:
        self._left_room = disconnect_reason(reason)

    def _now_us(self) -> int:
        return self._trace.call.offset_us(now_ns())


def disconnect_reason(reason: Any) -> str | None:
    """LiveKit's word for why somebody left, in lower case: ``client_initiated``, ``room_deleted``
    …"""
    if not isinstance(reason, int):
        return None
    try:
        return rtc.DisconnectReason.Name(reason).lower()  # type: ignore[arg-type]
    except ValueError:
        return None


def _described(participant: rtc.Participant) -> JSON:
    attributes = participant.attributes
    return {
        "identity": _text(participant.identity),
        "name": _text(participant.name),
        "sid": _text(participant.sid),
        "kind": _kind(participant.kind),
        "metadata": _text(participant.metadata),
        "attributes": dict(attributes) if isinstance(attributes, dict) and attributes else None,
    }


def _kind(kind: Any) -> str | None:
    if not isinstance(kind, int):
        return None
    try:
        name = rtc.ParticipantKind.Name(kind)  # type: ignore[arg-type]
    except ValueError:
        return None
    return name.removeprefix("PARTICIPANT_KIND_").lower()


def _text(value: Any) -> str | None:
    """A text that is there: the console's room has stand-ins in its places."""
    return value if isinstance(value, str) and value else None
