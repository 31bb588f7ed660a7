"""Delivers calls from the journal to Prefactor.

For each call: register it, start it, send its spans (parents first, as many in one request as
Prefactor takes), and once the call is over and nothing is left of it, record its quality and finish
it. If anything stops this half-way, the next round or another process goes on from what the journal
says was acknowledged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from prefactor_http import PrefactorResponseContractError
from pydantic_core import from_json, to_json

from ...config import Settings
from ...core.guard import failures, logger, report
from ...core.json import JSON
from ...figures import figures
from ...journal.errors import StorageError
from ...journal.outbox import Outbox
from ...journal.todo import CallRow, CallState
from ...schemas.catalog import QUALITY
from ...schemas.types import BASE_TYPES
from ...stored.source import SourceError
from ..common.http import LaterError
from ..common.target import Delivery
from .api import Api, DeniedError, RefusedError
from .quality import quality, records_of_program
from .registered_call import CallParkedError, RegisteredCall
from .registration import given_instance, registration, tool_types_of
from .spans import SpanSender
from .verdicts import setting_at_fault

OnTerminate = Callable[[str, str | None], None]

POLL_S = 1.0
"""A running call that has heard nothing from Prefactor for so long asks whether it may go on."""


class CallDelivery(Delivery[CallRow]):
    """Delivers calls over one connection to Prefactor and one to the journal.

    Args:
        on_terminate: Called when Prefactor wants a call to end.
    """

    def __init__(
        self,
        api: Api,
        outbox: Outbox,
        settings: Settings,
        sdk: str,
        on_terminate: OnTerminate | None = None,
        on_delivered: Callable[[str], None] = lambda _session_id: None,
    ) -> None:
        super().__init__(on_delivered)
        self.api, self.settings, self.sdk = api, settings, sdk
        self.todo = self.outbox = outbox
        self.on_terminate = on_terminate
        self._registered: dict[str, RegisteredCall] = {}
        self._logged: set[str] = set()
        self._spans = SpanSender(
            self.api,
            self.outbox,
            self.progress,
            self._terminated,
            use_marks=settings.mark_sensitive,
        )

    def is_over(self, row: CallRow) -> bool:
        return row.state == CallState.DONE or row.error is not None

    def is_due(self, row: CallRow) -> bool:
        return row.status != "active" or self.outbox.anything_due(row.session_id)

    async def send(self, row: CallRow) -> None:
        with self.parking_on_failure(row.session_id):
            await self._deliver_call(row)

    def patience(self, running: list[CallRow]) -> float | None:
        checked = [self.last_checked(row.session_id) for row in running]
        due = [moment + POLL_S for moment in checked if moment != float("inf")]
        return max(0.0, min(due) - time.monotonic()) if due else None

    async def check(self, running: list[CallRow]) -> None:
        for row in running:
            if time.monotonic() - self.last_checked(row.session_id) < POLL_S:
                continue
            now = self.outbox.call(row.session_id)
            if now is None or now.instance_id is None or now.error is not None:
                continue
            with self.parking_on_failure(row.session_id):
                await self._check(now)

    async def _check(self, row: CallRow) -> None:
        assert row.instance_id is not None
        call = self._registered_call(row)
        call.last_checked = time.monotonic()
        try:
            instance = await self.api.agent_instances.get(row.instance_id)
        except (PrefactorResponseContractError, RefusedError) as error:
            if isinstance(error, DeniedError):
                raise
            return
        if instance.status == "terminated":
            self._terminated(row.session_id, call, instance.termination_reason)

    def last_checked(self, session_id: str) -> float:
        """When Prefactor last said whether this call may go on, in monotonic seconds; 0: never."""
        call = self._registered.get(session_id)
        if call is None:
            return 0.0
        return float("inf") if call.terminated else call.last_checked

    def forget(self, session_id: str) -> None:
        self._registered.pop(session_id, None)

    # One call

    @contextlib.contextmanager
    def parking_on_failure(self, session_id: str) -> Iterator[None]:
        """Park a call that Prefactor refuses or that delivery fails on, so that all others go
        on."""
        try:
            yield
        except (LaterError, DeniedError, StorageError, OSError):
            raise  # not the fault of this call
        except CallParkedError as error:
            why, what = str(error), "Prefactor refuses a call"
        except Exception as error:
            failures["deliver.call"] += 1
            why, what = f"{type(error).__name__}: {error}", "delivery fails on a call"
            logger.debug("%s", what, exc_info=True)
        else:
            return
        self.outbox.update_call(session_id, error=why[:500])
        if why not in self._logged:
            self._logged.add(why)
            logger.error(
                "%s (%s): it stays in the journal; once the cause is gone, prefactor-agent push "
                "--parked delivers it",
                what,
                why,
            )
        self.progress.parked += 1
        self.forget(session_id)

    async def _deliver_call(self, row: CallRow) -> None:
        session_id = row.session_id
        if row.state == CallState.NEW:
            row = await self._register(row)
        if row.state == CallState.REGISTERED:
            row = await self._start(row)
        await self._spans.send(row, self._registered_call(row))
        now = self.outbox.call(session_id)
        if now is None or now.status == "active" or self.outbox.left(session_id):
            return
        if from_json(now.registration or "{}").get("supplied"):
            self.outbox.update_call(session_id, state=CallState.DONE)
        else:
            if now.state == CallState.STARTED:
                await self._record_quality(now)
            await self._finish(now)
        self.forget(session_id)
        self.progress.calls += 1
        self.on_delivered(session_id)

    async def _register(self, row: CallRow) -> CallRow:
        text = row.registration
        if text is None:
            payload = self._session(row)
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
            # Kept before it is sent: another process, which knows other tools, would later send
            # another body under the same idempotency key.
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

    def _session(self, row: CallRow) -> JSON:
        """The payload of the session's own span."""
        with contextlib.suppress(ValueError):
            if isinstance(payload := from_json(self.outbox.root(row.session_id)[0]), dict):
                return payload
        raise CallParkedError("its session is damaged in the journal")

    def _join(self, row: CallRow, given: JSON, tools: set[str]) -> CallRow:
        """Use the instance that the program registered itself, with the schemas that it chose."""
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

    async def _record_quality(self, row: CallRow) -> None:
        assert row.instance_id is not None
        ours = quality(self.outbox.outcomes(row.session_id), self._figures(row.session_id))
        of_program = records_of_program(self._session(row))
        for index, (name, payload) in enumerate([(QUALITY, ours), *of_program]):
            try:
                with self._done_if_conflict("record_quality"):
                    await self.api.agent_instances.record_quality(
                        row.instance_id,
                        name,
                        payload,
                        idempotency_key=f"{row.session_id}-quality"
                        + (f"-{index}" if index else ""),
                    )
            except CallParkedError as error:
                # The end of the call matters more than its quality.
                logger.warning("the quality %s of a call is not at Prefactor: %s", name, error)
        self.outbox.update_call(row.session_id, state=CallState.JUDGED)

    def _figures(self, session_id: str) -> JSON:
        try:
            return figures(self.settings.journal, session_id)
        except SourceError as error:  # the end of the call matters more than its quality
            report("deliver.quality", error)
            return {}

    async def _finish(self, row: CallRow) -> None:
        assert row.instance_id is not None
        with self._done_if_conflict("finish"):
            await self.api.agent_instances.finish(
                row.instance_id,
                status=row.status,  # the call has ended, so it is not active
                timestamp=_moment(row.finished_us or row.started_us),
                idempotency_key=f"{row.session_id}-finish",
            )
        self.outbox.update_call(row.session_id, state=CallState.DONE)

    @contextlib.contextmanager
    def _done_if_conflict(self, what: str) -> Iterator[None]:
        """Count a step as done when Prefactor answers 409: the instance is past it. The same holds
        for a 2xx answer that does not fit the model of the client."""
        try:
            yield
        except PrefactorResponseContractError:
            return
        except RefusedError as error:
            if error.status_code != 409:
                raise self._refused_call(what, error) from error

    def _refused_call(self, what: str, error: RefusedError) -> Exception:
        if isinstance(error, DeniedError):
            return error
        setting = setting_at_fault(error.code, str(error), error.errors)
        return CallParkedError(f"{what}: {error}" + (f"; check {setting}" if setting else ""))

    def _registered_call(self, row: CallRow) -> RegisteredCall:
        call = self._registered.get(row.session_id)
        if call is None:
            registered = from_json(row.registration) if row.registration else {}
            types = registered.get("agent_schema_version", {}).get("span_type_schemas", ())
            said = self._session(row).get("instructions")
            assert row.instance_id is not None
            call = self._registered[row.session_id] = RegisteredCall(
                row.instance_id,
                remote=self.outbox.remote_ids(row.session_id),
                schemas=frozenset(type_["name"] for type_ in types) or BASE_TYPES,
                risks={one["name"]: one["data_risk"] for one in types if one.get("data_risk")},
                instructions=said if isinstance(said, str) else None,
                terminated=row.terminated is not None,
            )
        return call

    def _terminated(self, session_id: str, call: RegisteredCall, reason: Any) -> None:
        if call.terminated:
            return
        call.terminated = True
        why = reason if isinstance(reason, str) else None
        if self.on_terminate is not None:
            self.on_terminate(session_id, why)
        try:
            self.outbox.update_call(session_id, terminated=why or "no reason given")
        except StorageError as error:  # the call is ending, and that is what counts
            report("deliver.terminated", error)


def _moment(unix_us: int) -> datetime:
    seconds, micros = divmod(unix_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
