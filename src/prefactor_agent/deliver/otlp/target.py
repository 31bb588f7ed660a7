"""An OpenTelemetry backend as a target of delivery."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from ...config import Settings
from ...journal.ended import EndedSpans
from ..common.address import shown
from ..common.http import LaterError, NotAcceptedError
from ..common.target import Check, Delivery, Opener, Target
from .endpoint import Endpoint, endpoint

INTERVAL_S = 5.0
"""As OpenTelemetry's batches of spans. Only what has ended is sent, so nobody waits for it."""


class Otlp(Target):
    """See :class:`.common.target.Target`. protobuf is imported only once it is used."""

    key = "otlp"
    secret = "OTEL_EXPORTER_OTLP_HEADERS"  # noqa: S105  # its name
    without = "recorded without otlp"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.interval_s = INTERVAL_S
        self.to = "OpenTelemetry"
        self._endpoint: Endpoint | None = None

    @property
    def wanted(self) -> bool:
        return self.settings.exports

    def prepare(self) -> None:
        self._endpoint = endpoint()
        self.to = f"OpenTelemetry at {shown(self._endpoint.url)}"

    @contextlib.asynccontextmanager
    async def connect(self, on_delivered: Callable[[str], None]) -> AsyncIterator[Opener]:
        from .delivery import OtlpDelivery
        from .sender import Sender

        assert self._endpoint is not None
        async with Sender(self._endpoint) as sender:

            def open_(journal: Path) -> Delivery[Any]:
                return OtlpDelivery(
                    sender, EndedSpans(journal), self.settings, self.to, on_delivered
                )

            yield open_

    def todo(self) -> EndedSpans:
        return EndedSpans(self.settings.journal)

    async def examine(self) -> list[Check]:
        from .sender import RefusedError, Sender

        assert self._endpoint is not None
        url = shown(self._endpoint.url)
        async with Sender(self._endpoint) as sender:
            before = time.monotonic()
            try:
                await sender.send()
            except NotAcceptedError as error:
                return [Check("otlp", "problem", f"{url} does not accept {self.secret} ({error})")]
            except LaterError as error:
                return [Check("otlp", "problem", f"{url} cannot be reached ({error})")]
            except RefusedError as error:
                return [Check("otlp", "problem", f"{url} refuses an empty request ({error})")]
            took = (time.monotonic() - before) * 1000
        return [Check("otlp", "ok", f"{url} answers in {took:.0f} ms")]
