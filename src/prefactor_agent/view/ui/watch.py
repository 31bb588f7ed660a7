"""Wakes the pages that are open when a call has changed. A thread looks at where the calls are
kept, so the event loop never waits for a file."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ...stored.source import ChangeSign

EVERY_S = 0.5


class Watch:
    """Looks for changes from an event loop."""

    def __init__(self, sign: ChangeSign) -> None:
        self._sign = sign
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefactor-watch")
        self._next = asyncio.Event()
        self.version = 0
        """Counts the changes that were seen."""
        self.stopped = False

    async def run(self) -> None:
        """Look until it is cancelled."""
        loop = asyncio.get_running_loop()
        seen = await loop.run_in_executor(self._thread, self._sign.look)
        while True:
            await asyncio.sleep(EVERY_S)
            found = await loop.run_in_executor(self._thread, self._sign.look)
            if found != seen:
                seen = found
                self.version += 1
                self._notify()

    async def changed(self, since: int, timeout: float) -> int:
        """The version, as soon as it is another than ``since``, or after ``timeout`` seconds."""
        if self.version == since and not self.stopped:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next.wait(), timeout)
        return self.version

    def stop(self) -> None:
        """Let go all who wait."""
        self.stopped = True
        self._notify()

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._sign.close)
        self._thread.shutdown(wait=False)

    def _notify(self) -> None:
        changed, self._next = self._next, asyncio.Event()
        changed.set()
