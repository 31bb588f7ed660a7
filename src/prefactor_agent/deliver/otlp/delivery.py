"""Delivers ended spans from the journal to an OpenTelemetry backend.

At least once: a span leaves the to-do when the backend has acknowledged it, and one whose
acknowledgement got lost is sent again, under the same ids. A refusal costs only the spans that it
is about: the request is halved until they are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...config import Settings
from ...core.guard import logger
from ...journal.ended import Ended, EndedCall, EndedSpans
from ..common.http import LaterError
from ..common.limits import POISON, Limits
from ..common.target import Delivery
from .gathering import Gathering
from .mapping import to_span
from .sender import RefusedError, Rejected, Sender

SPANS_PER_REQUEST = 512
"""As OpenTelemetry's exporters."""
CHARACTERS_PER_REQUEST = 1_000_000
REFUSALS_IN_A_ROW = 20
"""After so many refused spans in a row it is not the spans."""


class Encoded(NamedTuple):
    seq: int
    span: Span


class OtlpDelivery(Delivery[EndedCall]):
    """Delivers over one connection to the backend and one to the journal.

    Args:
        where: The backend, in a sentence.
    """

    def __init__(
        self,
        sender: Sender,
        todo: EndedSpans,
        settings: Settings,
        where: str,
        on_delivered: Callable[[str], None],
    ) -> None:
        super().__init__(on_delivered)
        self.sender, self.settings = sender, settings
        self.todo = self.ended = todo
        self.limits = Limits(SPANS_PER_REQUEST, CHARACTERS_PER_REQUEST)
        self._where = where
        self._gathering: dict[str, Gathering] = {}
        self._refused_in_a_row = 0
        self._broke: Counter[int] = Counter()
        self._logged: set[str] = set()

    def is_over(self, row: EndedCall) -> bool:
        return row.done != 0

    def is_due(self, row: EndedCall) -> bool:
        return row.status != "active" or self.ended.anything_due(row.session_id)

    def forget(self, session_id: str) -> None:
        self._gathering.pop(session_id, None)

    async def send(self, row: EndedCall) -> None:
        session_id = row.session_id
        while found := self.ended.due(session_id, self.limits.spans, self.limits.bytes):
            if not self.ended.claim(session_id):
                return  # this process was suspended for so long that another one took over
            if batch := self._encode(session_id, found):
                await self._send(session_id, batch)
        now = self.ended.call(session_id)
        if now is not None and now.status != "active" and self.ended.finish(session_id):
            self.forget(session_id)
            self.progress.calls += 1
            self.on_delivered(session_id)

    def _encode(self, session_id: str, found: list[Ended]) -> list[Encoded]:
        gathering = self._gathering.get(session_id)
        if gathering is None:
            gathering = self._gathering[session_id] = Gathering(self.ended, session_id)
        content, usage = self.settings.otlp_content, self.settings.otlp_usage
        batch: list[Encoded] = []
        parts: list[int] = []
        damaged: list[tuple[str, int]] = []
        for row, ended in zip(found, gathering.gather(found), strict=True):
            try:
                span = to_span(ended, content=content, usage=usage)
            except Exception as error:  # of one span: it must hold up no other
                damaged.append((f"damaged in the journal: {error}"[:500], row.seq))
                continue
            if span is None:
                parts.append(row.seq)
            else:
                batch.append(Encoded(row.seq, span))
        if parts or damaged:
            self.ended.acknowledge(parts, damaged)
            self.progress.parked += len(damaged)
        return batch

    async def _send(self, session_id: str, batch: list[Encoded]) -> None:
        try:
            rejected = await self.sender.send(one.span for one in batch)
        except LaterError as error:
            await self._later(batch, error)
        except RefusedError as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._send(session_id, batch[:middle])
                await self._send(session_id, batch[middle:])
                return
            self._refused_in_a_row += 1
            if self._refused_in_a_row > REFUSALS_IN_A_ROW:
                raise LaterError(f"it refuses each span: {error}") from error
            self._park(batch[0], str(error))
        else:
            self._refused_in_a_row = 0
            self.limits.taken()
            self.ended.acknowledge([one.seq for one in batch])
            self.progress.sent += len(batch)
            self.progress.spans += len(batch)
            if rejected.spans > 0:
                self._count(session_id, rejected)
            elif rejected.why:
                self._log("%s takes the spans, and says: %s", rejected.why)

    async def _later(self, batch: list[Encoded], error: LaterError) -> None:
        """Find the span that the backend breaks on again and again although it works otherwise."""
        if error.after is not None or not (error.failed or error.timeout):
            raise error
        if len(batch) > 1:
            self.limits.broke(len(batch))
            raise error
        seq = batch[0].seq
        self._broke[seq] += 1
        if self._broke[seq] < POISON:
            raise error
        await self.sender.send()
        self._park(batch[0], f"{error}, {POISON} times")

    def _park(self, refused: Encoded, why: str) -> None:
        self.ended.acknowledge([], [(why[:500], refused.seq)])
        self.progress.parked += 1
        self._log(
            "%s refuses a span (%s): it stays in the journal; prefactor-agent push --parked tries "
            "again",
            why,
        )

    def _count(self, session_id: str, rejected: Rejected) -> None:
        """A partial success: what was dropped is not to be sent again, and nobody knows which."""
        why = " ".join(rejected.why.split())[:200] or "no reason given"
        self.ended.count_rejected(session_id, rejected.spans, why)
        self.progress.rejected += rejected.spans
        self._log("%s dropped spans (%s): prefactor-agent doctor counts them", why)

    def _log(self, words: str, why: str) -> None:
        """One line for each reason."""
        if why not in self._logged and len(self._logged) < 20:
            self._logged.add(why)
            logger.warning(words, self._where, why)
