"""Sends the spans of a call: parents first, as many in one request as Prefactor takes. A refusal
costs only the span that it is about."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.bounds import PAYLOAD_LIMIT
from ...core.guard import logger
from ...core.ids import stamped
from ...core.json import JSON
from ...core.span import SpanType
from ...journal.outbox import Outbox
from ...journal.todo import CallRow, SpanState, Todo
from ..common.http import LaterError
from ..common.limits import POISON, SMALL, Limits
from ..common.target import Progress
from . import batches, bodies
from .api import Api, DeniedError, RefusedError
from .batches import BYTES_PER_REQUEST, SPANS_PER_REQUEST
from .bodies import Body
from .marks import Marks, marks_of
from .registered_call import CallParkedError, RegisteredCall, related_id
from .statuses import Failed, has_failure, is_reported
from .verdicts import Verdict, verdict

HELD_S = 2.5
"""A tool is sent open only after it has run for so long: nothing of what was sent can be changed,
so the error of one that was sent open is in its result, where Prefactor's readers do not look."""
LATE_S = 60.0
"""A span that is sent so long after it was over gets an id with the time of its sending: who reads
the newest ids first, until they are known, would never come to it."""
REFUSALS_IN_A_ROW = 50
"""After so many refused spans in a row, something is wrong with the call itself."""


@dataclass
class SpanSender:
    """Sends spans, and remembers for as long as the process runs which simpler requests the service
    wants.

    Raises (every coroutine):
        LaterError, DeniedError, StorageError
    """

    api: Api
    outbox: Outbox
    progress: Progress
    on_terminated: Callable[[str, RegisteredCall, Any], None]
    """Called when an answer says that a call must end: the session's id, the call, the reason."""
    use_bulk: bool = True
    use_ids: bool = True
    use_marks: bool = False
    """Values are marked as sensitive (``configure(mark_sensitive=True)``)."""
    limits: Limits = field(default_factory=lambda: Limits(SPANS_PER_REQUEST, BYTES_PER_REQUEST))
    _broke: Counter[str] = field(default_factory=Counter)

    async def send(self, row: CallRow, call: RegisteredCall) -> None:
        """Send the due spans of a call, which this process has claimed.

        Raises:
            CallParkedError: Prefactor refuses the call as a whole.
        """
        after, refusals = 0, 0
        while True:
            found = self.outbox.due(row.session_id, after, self.limits.spans, self.limits.bytes)
            if not found:
                return
            if not self.outbox.claim(row.session_id):
                return  # this process was suspended for so long that another one took over
            batch = self._prepare(row, call, found)
            taken = batches.fit(batch, self.limits.bytes)
            if not taken:
                after = found[-1].seq  # all of these wait for a parent
                continue
            delivered, parked = await self._send(row, call, taken)
            refusals = 0 if delivered else refusals + parked
            if refusals >= REFUSALS_IN_A_ROW:
                raise CallParkedError(f"the last {refusals} spans were refused")

    def _prepare(self, row: CallRow, call: RegisteredCall, found: list[Todo]) -> list[Body]:
        """The bodies of the spans that can be sent now. A span waits if its parent is neither at
        Prefactor nor before it in the same request. If Prefactor refused the parent, the span goes
        under the nearest ancestor that is there."""
        streams = self.outbox.streams([todo.id for todo in found if todo.status != "active"])
        if self.use_ids:
            self._name_late(row, call, found)
        before: set[str] = set()
        needed = {todo.parent_id for todo in found}
        prepared: list[Body] = []
        ends: list[Body] = []
        for todo in found:
            if todo.state == SpanState.OPEN:
                if todo.status != "active":
                    ends += self._body(call, todo, None, streams)
                continue
            if todo.sent is not None:
                prepared += self._body(call, todo, None, streams)
                continue
            if todo.id not in needed and _is_held(todo):
                continue
            parent = todo.parent_id
            if todo.parent_state == SpanState.PARKED:
                parent = self.outbox.delivered_ancestor(parent)
            if parent is not None and parent not in before and not self._is_there(todo, parent):
                continue
            made = self._body(call, todo, parent, streams)
            prepared += made
            if made and self.use_ids:
                before.add(todo.id)
        return prepared + ends

    def _name_late(self, row: CallRow, call: RegisteredCall, found: list[Todo]) -> None:
        """Give late spans new ids. These are kept before they are sent, so that a repeat from any
        process has the same."""
        now = time.time_ns() // 1000
        late = [
            (todo.id, row.session_id, related_id(stamped(todo.id, now), call.instance_id))
            for todo in found
            if todo.state == SpanState.NEW and todo.sent is None and todo.id not in call.remote
            if now - (todo.finished_us or todo.started_us) > LATE_S * 1e6
        ]
        if late:
            self.outbox.acknowledge([], [], [], late)
            call.remote.update((id_, given) for id_, _, given in late)

    def _body(
        self,
        call: RegisteredCall,
        todo: Todo,
        parent: str | None,
        streams: dict[str, bodies.Streams],
    ) -> list[Body]:
        """The body of a span, as a list of one. Empty for a span that is damaged in the journal: it
        is parked, so that it holds up no other."""
        columns = streams.get(todo.id, {})
        try:
            if todo.state == SpanState.OPEN:
                reported = self._is_reported(todo)
                marks = self._marks(call, todo)
                return [
                    bodies.finish(
                        todo, call.id_of(todo.id), columns, reported=reported, marks=marks
                    )
                ]
            if todo.sent is not None:
                return [bodies.repeated(todo)]
            return [
                bodies.create(
                    todo,
                    call.instance_id,
                    call.schema(todo.type),
                    call.id_of(todo.id) if self.use_ids else None,
                    call.id_of(parent) if parent is not None else None,
                    columns,
                    instructions=call.instructions,
                    reported=self._is_reported(todo),
                    marks=self._marks(call, todo),
                )
            ]
        except ValueError as error:
            why = f"damaged in the journal: {error}"
            self.outbox.acknowledge([], [], [(why[:500], todo.seq)], [])
            self.progress.parked += 1
            return []

    def _marks(self, call: RegisteredCall, todo: Todo) -> Marks | None:
        if not self.use_marks:
            return None
        return marks_of(todo.type, call.risks.get(call.schema(todo.type)))

    def _is_reported(self, todo: Todo) -> bool:
        """Whether another span has the failure that this one tells of."""
        if todo.status != "failed" or todo.type not in (SpanType.ERROR, SpanType.SESSION):
            return False
        if todo.type == SpanType.ERROR:
            above = map(Failed._make, self.outbox.failed(todo.parent_id))
            return any(map(has_failure, above))
        return is_reported(todo, map(Failed._make, self.outbox.failed_in(todo.id)))

    def _is_there(self, todo: Todo, parent: str) -> bool:
        if parent == todo.parent_id:
            return todo.parent_state != SpanState.NEW
        return self.outbox.state(parent) != SpanState.NEW

    async def _send(self, row: CallRow, call: RegisteredCall, batch: list[Body]) -> tuple[int, int]:
        """Send a batch and record the answers. Returns how many spans were delivered and parked."""
        uncertain = [body for body in batch if not body.ends and body.todo.sent is None]
        if uncertain:
            # If the answer gets lost, the same request has to be sent again word for word; a span
            # that is still open may have changed by then.
            self.outbox.keep_sent((body.fields, body.todo.seq) for body in uncertain)
        if self.use_bulk:
            return await self._send_bulk(row, call, batch)
        sent = 0
        for index, body in enumerate(batch):
            delivered, parked = await self._send_single(row, call, body, batch[index + 1 :])
            sent += delivered
            if not delivered:  # later spans may depend on it
                return sent, parked
        return sent, 0

    async def _send_bulk(
        self, row: CallRow, call: RegisteredCall, batch: list[Body]
    ) -> tuple[int, int]:
        text = batches.bulk(batch)
        try:
            answer = await self.api.post("/api/v1/bulk", text.encode())
        except LaterError as error:
            if len(batch) == 1:
                return 0, await self._park_if_poison(row, call, batch[0], error)
            if error.timeout or error.failed:
                self.limits.broke(len(batch))
            raise
        except RefusedError as error:
            if error.status_code == 413 and len(batch) > 1:
                self.limits.too_large(len(batch), len(text))
                return 0, 0
            if error.status_code == 413:
                return 0, await self._refused(row, call, batch[0], Verdict.TOO_LARGE, str(error))
            if error.status_code == 401:
                raise
            # Bulk is not allowed or not there: send one by one, for as long as this process runs.
            # If the token is the reason, the first single request says so.
            self.use_bulk = False
            return 0, 0
        done, refused = batches.read(batch, answer)
        self.limits.taken()
        self._acknowledge(row, call, done)
        if refused is None:
            return len(done), 0
        judged = verdict(refused.code, refused.errors, finishes=refused.body.finishes)
        behind = batch[batch.index(refused.body) + 1 :]
        return len(done), await self._refused(row, call, refused.body, judged, refused.why, behind)

    async def _send_single(
        self, row: CallRow, call: RegisteredCall, body: Body, behind: list[Body]
    ) -> tuple[int, int]:
        try:
            answer = await self.api.post(body.path, body.single.encode())
        except DeniedError:
            raise
        except LaterError as error:
            return 0, await self._park_if_poison(row, call, body, error)
        except RefusedError as error:
            judged = verdict(
                error.code, error.errors, finishes=body.finishes, status=error.status_code
            )
            return 0, await self._refused(row, call, body, judged, str(error), behind)
        self._acknowledge(row, call, [(body, answer)])
        return 1, 0

    def _acknowledge(
        self, row: CallRow, call: RegisteredCall, done: list[tuple[Body, JSON]]
    ) -> None:
        if not done:
            return
        remote: list[tuple[str, str, str]] = []
        for body, output in done:
            details = output.get("details")
            made = details.get("id") if isinstance(details, dict) else None
            if not body.finishes and isinstance(made, str) and made != body.remote_id:
                remote.append((body.todo.id, row.session_id, made))
                call.remote[body.todo.id] = made
            control = output.get("control")
            if isinstance(control, dict) and control.get("terminate") is True:
                self.on_terminated(row.session_id, call, control.get("reason"))
        call.last_checked = time.monotonic()
        self.outbox.acknowledge(
            [body.todo.seq for body, _ in done if not body.ends],
            [body.todo.seq for body, _ in done if body.ends],
            [],
            remote,
        )
        self.progress.sent += len(done)
        self.progress.spans += sum(body.ends for body, _ in done)

    async def _refused(
        self,
        row: CallRow,
        call: RegisteredCall,
        body: Body,
        judged: Verdict,
        why: str,
        behind: Sequence[Body] = (),
    ) -> int:
        """Act on the refusal of one span; returns 1 if the span is parked.

        Args:
            behind: The bodies after it, which the service did not look at.
        """
        todo = body.todo
        match judged:
            case Verdict.LATER:
                raise LaterError(why)
            case Verdict.DENIED:
                raise DeniedError(403, "forbidden", why, {})
            case Verdict.DONE:
                self._acknowledge(row, call, [(body, {})])
                return 0
            case Verdict.UNKNOWN_INSTANCE:
                raise CallParkedError(why)
            case Verdict.UNKNOWN_SPAN:
                self.outbox.begin_again(todo.seq)
                return 0
            case Verdict.NO_CUSTOM_IDS if body.remote_id is not None:
                self.use_ids = False
                # The creates that were kept for a repeat have ids made here in them.
                again = [one.todo.seq for one in (body, *behind) if not one.finishes]
                self.outbox.keep_sent((None, seq) for seq in again)
                return 0
            case Verdict.TOO_LARGE:
                return await self._send_cut(row, call, body, why)
            case _ if body.marked:
                return await self._send_unmarked(row, call, body, why)
            case _:
                self._park(body, why)
                return 1

    async def _park_if_poison(
        self, row: CallRow, call: RegisteredCall, body: Body, error: LaterError
    ) -> int:
        """Park a span that the service breaks on again and again although it works otherwise: it
        must not hold up the others for ever."""
        if not (error.failed or error.timeout) or error.after is not None:
            raise error
        self._broke[body.key] += 1
        if self._broke[body.key] < POISON:
            raise error
        await self.api.validate_token()
        return await self._refused(row, call, body, Verdict.PARK, f"{error}, {POISON} times")

    async def _send_cut(self, row: CallRow, call: RegisteredCall, body: Body, why: str) -> int:
        """Send a span that is too large again, without its streams and with short texts."""
        marks = self._marks(call, body.todo) if body.marked else None
        cut = bodies.again(body, {}, SMALL, call.instructions, marks)
        if len(cut.fields) >= len(body.fields):
            self._park(body, why)
            return 1
        if not cut.ends:
            self.outbox.keep_sent([(cut.fields, cut.todo.seq)])
        answer: JSON
        try:
            answer = await self.api.post(cut.path, cut.single.encode())
        except DeniedError:
            raise
        except RefusedError as error:
            self._park(body, str(error))
            return 1
        self._acknowledge(row, call, [(cut, answer)])
        return 0

    async def _send_unmarked(self, row: CallRow, call: RegisteredCall, body: Body, why: str) -> int:
        """Send a span that was refused again, without marks. If it is taken, they were the reason:
        then no more are sent."""
        streams = self.outbox.streams([body.todo.id]).get(body.todo.id, {})
        plain = bodies.again(body, streams, PAYLOAD_LIMIT, call.instructions, None)
        if not plain.ends:
            self.outbox.keep_sent([(plain.fields, plain.todo.seq)])
        delivered, parked = await self._send_single(row, call, plain, [])
        if delivered and self.use_marks:
            self.use_marks = False
            self.use_bulk = True  # if all of it was refused, it may have been for the marks
            logger.warning(
                "Prefactor refuses values that are marked as sensitive (%s): they are sent "
                "without marks",
                why,
            )
        return parked

    def _park(self, body: Body, why: str) -> None:
        self.outbox.acknowledge([], [], [(why[:500], body.todo.seq)], [])
        self.progress.parked += 1


def _is_held(todo: Todo) -> bool:
    """Whether a span is a tool that has only just begun."""
    running = todo.status == "active" and f"{todo.type}:".startswith(f"{SpanType.TOOL}:")
    return running and 0 <= time.time_ns() // 1000 - todo.started_us < HELD_S * 1e6
