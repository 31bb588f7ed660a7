"""Carries calls from the journal to Prefactor, round by round.

Per call: register, start, then its spans, parents first, as many in one request as Prefactor takes;
when the call is over and nothing is left of it, its quality and its end. Whatever stops this
half-way, the next round, or another process, goes on from what the journal says was
acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefactor_http import PrefactorResponseContractError
from pydantic_core import from_json, to_json

from ..config import Settings
from ..journal.outbox import CallRow, CallState, Outbox, SpanState, Todo
from ..record.guard import logger
from ..schemas import BASE_TYPES, QUALITY, TOOL_PREFIX
from . import bodies
from .api import Api, DeniedError, LaterError, RefusedError
from .bodies import Body
from .quality import quality
from .registration import given_instance, registration, tool_types_of
from .verdicts import Verdict, verdict

JSON = dict[str, Any]
OnTerminate = Callable[[str, str | None], None]

SPANS_PER_REQUEST = 500
BYTES_PER_REQUEST = 1_000_000
CALLS_AT_ONCE = 4
SMALL = 32_768
"""What a payload is cut to when Prefactor calls a span too large."""
POISON = 6
"""So many times the service may break on one span alone before the span is parked."""
REFUSALS_IN_A_ROW = 50
"""So many spans of a call refused one after the other: something is wrong with the call."""


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
class Live:
    """What is known of a call between two rounds."""

    remote: dict[str, str]
    schemas: frozenset[str]
    asked: float = 0.0
    """When Prefactor last said whether the call may go on: monotonic seconds."""
    terminated: bool = False


@dataclass
class Courier:
    """Delivers with one connection to Prefactor and one to the journal.

    Raises (every coroutine):
        LaterError: Prefactor cannot be reached now.
        DeniedError: The token is not good.
        sqlite3.Error: The journal cannot be read or written now.
    """

    api: Api
    outbox: Outbox
    settings: Settings
    sdk: str
    on_terminate: OnTerminate | None = None
    progress: Progress = field(default_factory=Progress)
    use_bulk: bool = True
    use_ids: bool = True
    span_limit: int = SPANS_PER_REQUEST
    byte_limit: int = BYTES_PER_REQUEST
    _live: dict[str, Live] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _broke: Counter[str] = field(default_factory=Counter)
    _stumbled: Counter[str] = field(default_factory=Counter)

    async def deliver(self, calls: list[CallRow]) -> None:
        """Bring these calls up to date, several at once."""
        # A call that could not be delivered the last time does not stand in the way of others.
        waiting = calls[::-1]
        waiting.sort(key=lambda row: self._stumbled[row.session_id], reverse=True)

        async def work() -> None:
            while waiting:
                row = waiting.pop()
                try:
                    await self.deliver_call(row)
                except LaterError:
                    self._stumbled[row.session_id] += 1
                    raise
                self._stumbled.pop(row.session_id, None)

        workers = [asyncio.ensure_future(work()) for _ in range(min(CALLS_AT_ONCE, len(calls)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def deliver_call(self, row: CallRow) -> None:
        """Bring one call up to date. The caller has claimed it."""
        try:
            await self._deliver_call(row)
        except CallParkedError as error:
            self.outbox.update_call(row.session_id, error=str(error)[:500])
            if str(error) not in self._told:
                self._told.add(str(error))
                logger.error(
                    "Prefactor refuses a call (%s): it stays in the journal; once the cause is "
                    "gone, prefactor-agent push --parked delivers it",
                    error,
                )
            self.progress.parked += 1
            self._live.pop(row.session_id, None)

    async def check(self, row: CallRow) -> None:
        """Ask whether a call that runs may go on."""
        if row.instance_id is None:
            return
        live = self._known(row)
        live.asked = time.monotonic()
        try:
            instance = await self.api.agent_instances.get(row.instance_id)
        except (PrefactorResponseContractError, RefusedError) as error:
            if isinstance(error, DeniedError):
                raise
            return
        if instance.status == "terminated":
            self._terminated(row.session_id, live, instance.termination_reason)

    def asked(self, session_id: str) -> float:
        """When Prefactor last said whether this call may go on; 0: never."""
        live = self._live.get(session_id)
        if live is None:
            return 0.0
        return float("inf") if live.terminated else live.asked

    def forget(self, session_id: str) -> None:
        self._live.pop(session_id, None)

    # One call

    async def _deliver_call(self, row: CallRow) -> None:
        session_id = row.session_id
        if row.state == CallState.NEW:
            row = await self._register(row)
        if row.state == CallState.REGISTERED:
            row = await self._start(row)
        await self._spans(row)
        now = self.outbox.call(session_id)
        if now is None or now.status == "active" or self.outbox.left(session_id):
            return
        if from_json(now.registration or "{}").get("supplied"):
            self.outbox.update_call(session_id, state=CallState.DONE)
        else:
            if now.state == CallState.STARTED:
                await self._judge(now)
            await self._finish(now)
        self.forget(session_id)
        self.progress.calls += 1

    async def _register(self, row: CallRow) -> CallRow:
        text = row.registration
        if text is None:
            payload = from_json(self.outbox.root(row.session_id)[0])
            if (given := given_instance(payload)) is not None:
                return self._join(row, given, tool_types_of(payload))
            body = registration(
                row.session_id,
                payload,
                self.outbox.tool_types(),
                self.settings,
                self.sdk,
                from_json(row.tools) if row.tools else None,
            )
            text = to_json(body).decode()
            # Kept before it is sent: what is registered later, by another process with other
            # tools in sight, would be another body under the same idempotency key.
            self.outbox.update_call(row.session_id, registration=text)
        try:
            instance = await self.api.agent_instances.register(
                update_current_version=True, **from_json(text)
            )
        except PrefactorResponseContractError as error:
            raise LaterError(f"the answer to register is not as agreed: {error}") from error
        except RefusedError as error:
            raise self._refused_call("register", error) from error
        row = row._replace(state=CallState.REGISTERED, instance_id=instance.id, registration=text)
        self.outbox.update_call(row.session_id, state=row.state, instance_id=row.instance_id)
        return row

    def _join(self, row: CallRow, given: JSON, tools: set[str]) -> CallRow:
        """The program registered an instance itself, with the schemas that it chose."""
        schemas = self.settings.schemas or {}
        names = {entry["name"] for entry in schemas.get("span_type_schemas", ())} or BASE_TYPES
        types = [{"name": name} for name in sorted({*names, *tools})]
        text = to_json(
            {
                "supplied": bool(given.get("supplied")),
                "agent_schema_version": {"span_type_schemas": types},
            }
        ).decode()
        row = row._replace(state=CallState.STARTED, instance_id=str(given["id"]), registration=text)
        self.outbox.update_call(
            row.session_id, state=row.state, instance_id=row.instance_id, registration=text
        )
        return row

    async def _start(self, row: CallRow) -> CallRow:
        assert row.instance_id is not None
        with self._done_if_conflict("start"):
            await self.api.agent_instances.start(
                row.instance_id,
                timestamp=_moment(row.started_us),
                idempotency_key=f"{row.session_id}-start",
            )
        self.outbox.update_call(row.session_id, state=CallState.STARTED)
        return row._replace(state=CallState.STARTED)

    async def _judge(self, row: CallRow) -> None:
        assert row.instance_id is not None
        payload = quality(self.outbox.outcomes(row.session_id))
        try:
            with self._done_if_conflict("record_quality"):
                await self.api.agent_instances.record_quality(
                    row.instance_id,
                    QUALITY,
                    payload,
                    idempotency_key=f"{row.session_id}-quality",
                )
        except CallParkedError:
            pass  # a call without its quality is still a call: its end matters more
        self.outbox.update_call(row.session_id, state=CallState.JUDGED)

    async def _finish(self, row: CallRow) -> None:
        assert row.instance_id is not None
        with self._done_if_conflict("finish"):
            await self.api.agent_instances.finish(
                row.instance_id,
                status=row.status,  # not active: the call has ended
                timestamp=_moment(row.finished_us or row.started_us),
                idempotency_key=f"{row.session_id}-finish",
            )
        self.outbox.update_call(row.session_id, state=CallState.DONE)

    @contextlib.contextmanager
    def _done_if_conflict(self, what: str) -> Any:
        """A 409 says that the instance is past this step, so the step was made; so does an answer
        that is not as the client's model wants it, as long as it was a 2xx."""
        try:
            yield
        except PrefactorResponseContractError:
            return
        except RefusedError as error:
            if error.status != 409:
                raise self._refused_call(what, error) from error

    def _refused_call(self, what: str, error: RefusedError) -> Exception:
        return error if isinstance(error, DeniedError) else CallParkedError(f"{what}: {error}")

    # Its spans

    async def _spans(self, row: CallRow) -> None:
        live = self._known(row)
        after, refusals = 0, 0
        while True:
            found = self.outbox.due(row.session_id, after, self.span_limit, self.byte_limit)
            if not found:
                return
            if not self.outbox.claim(row.session_id):
                return  # this process was stopped for so long that another one went on
            batch = self._prepare(row, live, found)
            taken = self._fit(batch)
            if not taken:
                after = found[-1].seq  # all of these wait for a parent
                continue
            delivered, parked = await self._send(row, live, taken)
            refusals = 0 if delivered else refusals + parked
            if refusals >= REFUSALS_IN_A_ROW:
                raise CallParkedError(f"the last {refusals} spans were refused")

    def _prepare(self, row: CallRow, live: Live, found: list[Todo]) -> list[Body]:
        """The bodies of what can be sent now. A span whose parent is neither at Prefactor nor in
        front of it in the same request waits; one whose parent was refused goes under the nearest
        ancestor that is there."""
        streams = self.outbox.streams(found)
        assert row.instance_id is not None
        before: set[str] = set()
        prepared: list[Body] = []
        ends: list[Body] = []
        for todo in found:
            columns = streams.get(todo.id, {})
            if todo.state == SpanState.OPEN:
                if todo.status != "active":
                    ends.append(bodies.finish(todo, self._id(row, live, todo.id), columns))
                continue
            if todo.sent is not None:
                prepared.append(bodies.repeated(todo))
                continue
            parent = todo.parent_id
            if todo.parent_state == SpanState.PARKED:
                parent = self.outbox.delivered_ancestor(parent)
            if parent is not None and parent not in before and not self._there(todo, parent):
                continue
            prepared.append(
                bodies.create(
                    todo,
                    row.instance_id,
                    self._schema(live, todo.type),
                    self._id(row, live, todo.id) if self.use_ids else None,
                    self._id(row, live, parent) if parent is not None else None,
                    columns,
                )
            )
            if self.use_ids:
                before.add(todo.id)
        return prepared + ends

    def _there(self, todo: Todo, parent: str) -> bool:
        if parent == todo.parent_id:
            return todo.parent_state != SpanState.NEW
        return self.outbox.state(parent) != SpanState.NEW

    def _schema(self, live: Live, type_: str) -> str:
        """The type a span is sent as. A tool that nobody knew of when the call was registered goes
        under the type of all tools; its name is in the payload."""
        if type_ in live.schemas or not type_.startswith(TOOL_PREFIX):
            return type_
        return "livekit:tool"

    def _id(self, row: CallRow, live: Live, span_id: str) -> str:
        """The id at Prefactor: ours in the partition of the instance, which is the account's, as
        ``pfid.generate_related`` would make it but the same every time; or the one that Prefactor
        made."""
        assert row.instance_id is not None
        return live.remote.get(span_id) or related_id(span_id, row.instance_id)

    def _fit(self, batch: list[Body]) -> list[Body]:
        """As many as fit into one request; at least one."""
        size = 0
        for index, body in enumerate(batch):
            size += len(body.fields) + 160
            if index and size > self.byte_limit:
                return batch[:index]
        return batch

    async def _send(self, row: CallRow, live: Live, batch: list[Body]) -> tuple[int, int]:
        """Send, and note what was answered. Returns how many were delivered and parked."""
        uncertain = [body for body in batch if not body.ends and body.todo.sent is None]
        if uncertain:
            # A span that is still open may be another one at the next try: what is sent now has
            # to be sent again word for word, should the answer get lost.
            self.outbox.keep_sent((body.fields, body.todo.seq) for body in uncertain)
        if self.use_bulk:
            return await self._send_bulk(row, live, batch)
        sent = 0
        for body in batch:
            delivered, parked = await self._send_single(row, live, body)
            sent += delivered
            if not delivered:  # what comes after it may have counted on it
                return sent, parked
        return sent, 0

    async def _send_bulk(self, row: CallRow, live: Live, batch: list[Body]) -> tuple[int, int]:
        text = '{"items":[' + ",".join(body.bulk_item for body in batch) + "]}"
        try:
            answer = await self.api.post("/api/v1/bulk", text.encode())
        except LaterError as error:
            if len(batch) == 1:
                return 0, await self._park_if_poison(row, live, batch[0], error)
            if error.timeout or error.failed:
                # Perhaps it is one of these spans: fewer, to find out which.
                self.span_limit = max(1, min(self.span_limit, len(batch)) // 4)
            raise
        except RefusedError as error:
            if error.status == 413 and len(batch) > 1:
                self.span_limit = max(1, len(batch) // 2)
                self.byte_limit = max(SMALL, min(self.byte_limit, len(text)) // 2)
                return 0, 0
            if error.status == 413:
                return 0, await self._refused(row, live, batch[0], Verdict.TOO_LARGE, str(error))
            if error.status == 401:
                raise
            # Not allowed or not there: one by one, for as long as this process runs. If it is the
            # token that is not good, the first of them says so.
            self.use_bulk = False
            return 0, 0
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            raise LaterError("the answer to bulk is not as agreed")
        self.span_limit = min(SPANS_PER_REQUEST, self.span_limit * 2)
        done: list[tuple[Body, JSON]] = []
        refused: tuple[Body, JSON] | None = None
        for body in batch:
            output = outputs.get(body.key)
            if not isinstance(output, dict):
                continue  # behind the first error, nothing was done
            if output.get("status") == "success":
                done.append((body, output))
            elif refused is None:
                refused = (body, output)
        self._acknowledge(row, live, done)
        if refused is None:
            if not done:
                raise LaterError("the answer to bulk says nothing of what was sent")
            return len(done), 0
        body, output = refused
        errors = output.get("errors")
        parked = await self._refused(
            row,
            live,
            body,
            verdict(
                str(output.get("code", "unknown")),
                errors if isinstance(errors, dict) else {},
                finishes=body.finishes,
            ),
            f"{output.get('code', 'unknown')}: {output.get('message', '')}",
        )
        return len(done), parked

    async def _send_single(self, row: CallRow, live: Live, body: Body) -> tuple[int, int]:
        try:
            answer = await self.api.post(body.path, body.single.encode())
        except DeniedError:
            raise
        except LaterError as error:
            return 0, await self._park_if_poison(row, live, body, error)
        except RefusedError as error:
            judged = verdict(error.code, error.errors, finishes=body.finishes, status=error.status)
            return 0, await self._refused(row, live, body, judged, str(error))
        self._acknowledge(row, live, [(body, answer)])
        return 1, 0

    def _acknowledge(self, row: CallRow, live: Live, done: list[tuple[Body, JSON]]) -> None:
        if not done:
            return
        remote: list[tuple[str, str, str]] = []
        for body, output in done:
            details = output.get("details")
            made = details.get("id") if isinstance(details, dict) else None
            if not body.finishes and isinstance(made, str) and made != body.remote_id:
                remote.append((body.todo.id, row.session_id, made))
                live.remote[body.todo.id] = made
            control = output.get("control")
            if isinstance(control, dict) and control.get("terminate") is True:
                self._terminated(row.session_id, live, control.get("reason"))
        live.asked = time.monotonic()
        self.outbox.acknowledge(
            [body.todo.seq for body, _ in done if not body.ends],
            [body.todo.seq for body, _ in done if body.ends],
            [],
            remote,
        )
        self.progress.sent += len(done)
        self.progress.spans += sum(body.ends for body, _ in done)

    async def _refused(
        self, row: CallRow, live: Live, body: Body, judged: Verdict, why: str
    ) -> int:
        """Deal with one refused span; returns 1 if it is parked."""
        todo = body.todo
        match judged:
            case Verdict.LATER:
                raise LaterError(why)
            case Verdict.DENIED:
                raise DeniedError(403, "forbidden", why, {})
            case Verdict.DONE:
                self._acknowledge(row, live, [(body, {})])
                return 0
            case Verdict.UNKNOWN_INSTANCE:
                raise CallParkedError(why)
            case Verdict.UNKNOWN_SPAN:
                self.outbox.begin_again(todo.seq)
                return 0
            case Verdict.NO_CUSTOM_IDS if body.remote_id is not None:
                self.use_ids = False
                # What was kept for a repeat has an id of ours in it.
                self.outbox.keep_sent([(None, todo.seq)])
                return 0
            case Verdict.TOO_LARGE:
                return await self._send_cut(row, live, body, why)
            case _:
                self.outbox.acknowledge([], [], [(why[:500], todo.seq)], [])
                self.progress.parked += 1
                return 1

    async def _park_if_poison(self, row: CallRow, live: Live, body: Body, error: LaterError) -> int:
        """A span that the service breaks on time and again, while it is well otherwise, must not
        hold up all others for ever."""
        if not (error.failed or error.timeout) or error.after is not None:
            raise error
        self._broke[body.key] += 1
        if self._broke[body.key] < POISON:
            raise error
        await self.api.validate_token()
        return await self._refused(row, live, body, Verdict.PARK, f"{error}, {POISON} times")

    async def _send_cut(self, row: CallRow, live: Live, body: Body, why: str) -> int:
        """Too large as a whole: without its streams, and with short texts."""
        todo = body.todo._replace(sent=None)
        if body.finishes:
            assert body.remote_id is not None
            cut = bodies.finish(todo, body.remote_id, {}, SMALL)
        else:
            old = from_json(body.fields)
            cut = bodies.create(
                todo,
                old["agent_instance_id"],
                old["schema_name"],
                old.get("id"),
                old.get("parent_span_id"),
                {},
                SMALL,
            )
        if len(cut.fields) >= len(body.fields):
            self.outbox.acknowledge([], [], [(why[:500], todo.seq)], [])
            self.progress.parked += 1
            return 1
        if not cut.ends:
            self.outbox.keep_sent([(cut.fields, todo.seq)])
        answer: JSON
        try:
            answer = await self.api.post(cut.path, cut.single.encode())
        except DeniedError:
            raise
        except RefusedError as error:
            self.outbox.acknowledge([], [], [(str(error)[:500], todo.seq)], [])
            self.progress.parked += 1
            return 1
        self._acknowledge(row, live, [(cut, answer)])
        return 0

    def _known(self, row: CallRow) -> Live:
        live = self._live.get(row.session_id)
        if live is None:
            registered = from_json(row.registration) if row.registration else {}
            types = registered.get("agent_schema_version", {}).get("span_type_schemas", ())
            live = self._live[row.session_id] = Live(
                remote=self.outbox.remote_ids(row.session_id),
                schemas=frozenset(type_["name"] for type_ in types) or BASE_TYPES,
                terminated=row.terminated is not None,
            )
        return live

    def _terminated(self, session_id: str, live: Live, reason: Any) -> None:
        if live.terminated:
            return
        live.terminated = True
        why = reason if isinstance(reason, str) else None
        self.outbox.update_call(session_id, terminated=why or "no reason given")
        if self.on_terminate is not None:
            self.on_terminate(session_id, why)


def related_id(span_id: str, instance_id: str) -> str:
    return span_id[:10] + instance_id[10:16] + span_id[16:]


def _moment(unix_us: int) -> datetime:
    seconds, micros = divmod(unix_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
