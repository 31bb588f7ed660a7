"""The thread that delivers while the agent runs.

It sleeps until spans are written to the journal (:meth:`Deliverer.wake`) and sends at most every
:data:`INTERVAL_S`. For each open call of which it sent nothing for a second it asks Prefactor, in
one small request, whether the call may go on. It never touches the agent's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from importlib.metadata import distribution, version

from ..config import ConfigurationError, Settings
from ..core.forks import at_fork
from ..core.guard import failures, logger, report
from ..journal.errors import StorageError, StorageUnavailableError, UnusableJournalError
from .backoff import Backoff
from .prefactor.api import REQUEST_TIMEOUT_S, Api, DeniedError, LaterError
from .prefactor.call_delivery import OnTerminate
from .prefactor.target import Target, target
from .rounds import Rounds

INTERVAL_S = 0.4
"""So that what begins is at Prefactor within a second: the journal's writer takes 0.1 s of it."""
FIRST_WAIT_S = 0.5
"""The wait after the first failure in a row: see :class:`.backoff.Backoff`."""


def sdk_entry() -> str:
    """This program and the clients that it uses, for the header and the runtime environment."""
    names = ("prefactor-agent", "prefactor-core", "prefactor-http")
    return " ".join(f"{name}@{_version(name)}" for name in names)


def _version(name: str) -> str:
    try:
        # As importlib.metadata.version, which parses the whole description as a mail first.
        for line in (distribution(name).read_text("METADATA") or "").splitlines():
            if line.startswith("Version: "):
                return line.removeprefix("Version: ").strip()
        return version(name)
    except Exception:  # run from a source tree
        return "0"


class Deliverer:
    """Delivers what this process records, and what processes that are gone left behind.

    Args:
        on_terminate: Called on the delivering thread, once for each call that Prefactor wants to
            end, with the session's id and the reason.
        request_timeout: Seconds that one request may take; by default :data:`REQUEST_TIMEOUT_S`.
        is_mine: Whether this deliverer delivers a call of this process, by its session's id; by
            default it delivers all.
        on_delivered: Called on the delivering thread with the session's id of a call of which
            nothing is left to do.
    """

    def __init__(
        self,
        settings: Settings,
        on_terminate: OnTerminate | None = None,
        *,
        request_timeout: float | None = None,
        is_mine: Callable[[str], bool] = lambda _session_id: True,
        on_delivered: Callable[[str], None] = lambda _session_id: None,
    ) -> None:
        self._settings = settings
        self._is_mine, self._on_delivered = is_mine, on_delivered
        self._on_terminate = on_terminate
        self._timeout = REQUEST_TIMEOUT_S if request_timeout is None else request_timeout
        self._reset()
        _deliverers.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakened: asyncio.Event | None = None
        self._pending = True
        self._stopping = False
        self._flushing = 0
        self._round = threading.Condition()
        self._rounds = 0
        self._clean = False
        self._outage_logged = False
        self.off: str | None = None
        """Why this process delivers nothing (any more)."""

    # From any thread

    def start(self) -> None:
        """Start the thread, if there is a token. Log in one line what is wrong in the settings."""
        with self._lock:
            if self._thread is not None or self.off is not None:
                return
            try:
                aim = target(self._settings) if self._settings.delivers else None
            except ConfigurationError as error:
                self.off = str(error)
                logger.error("nothing is delivered to Prefactor, the journal is: %s", error)
                return
            if aim is None:
                self.off = "no token"
                return
            self._thread = threading.Thread(
                target=self._run, args=(aim,), name="prefactor-deliver", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Note that something new is in the journal. Cheap enough to call after every write."""
        if self._pending:
            return
        self._pending = True
        self._poke()

    def flush(self, timeout: float) -> bool:
        """Deliver what the journal has now, within ``timeout`` seconds. Returns whether nothing of
        this process's calls is left, apart from what Prefactor refused."""
        deadline = time.monotonic() + timeout
        with self._round:
            if self._thread is None or self.off is not None:
                return False
            wanted = self._rounds + 2  # the round that runs now may have read too early
            self._flushing += 1
        try:
            while True:
                self._pending = True
                self._poke()
                with self._round:
                    if self._clean and self._rounds >= wanted:
                        return True
                    left = deadline - time.monotonic()
                    if left <= 0 or self.off is not None:
                        return False
                    self._round.wait(min(left, 0.05))
        finally:
            with self._round:
                self._flushing -= 1

    def stop(self, timeout: float = 2.0) -> None:
        """Stop the thread; the journal keeps what is not delivered."""
        thread = self._thread
        self._stopping = True
        self._poke()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _poke(self) -> None:
        loop, event = self._loop, self._wakened
        if loop is not None and event is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(event.set)

    # On the thread

    def _run(self, aim: Target) -> None:
        try:
            asyncio.run(self._main(aim))
        except Exception as error:
            report("deliver", error)
            self.off = f"{type(error).__name__}: {error}"
        finally:
            self._loop = None
            with self._round:
                if self.off is None:
                    self.off = "stopped"
                self._round.notify_all()

    async def _main(self, aim: Target) -> None:
        self._wakened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        sdk = sdk_entry()
        async with Api(aim, sdk, self._timeout) as api:
            rounds = Rounds(
                api, self._settings, sdk, self._terminate, self._is_mine, self._on_delivered
            )
            try:
                await self._rounds_until_stopped(rounds)
            finally:
                rounds.close()

    async def _rounds_until_stopped(self, rounds: Rounds) -> None:
        backoff = Backoff(FIRST_WAIT_S)
        while not self._stopping:
            self._pending = False
            clean = await self._one_round(rounds, backoff)
            with self._round:
                self._rounds += 1
                self._clean = clean
                self._round.notify_all()
            if self.off is not None:
                return
            await self._rest(rounds, backoff)

    async def _one_round(self, rounds: Rounds, backoff: Backoff) -> bool:
        """Returns whether nothing is left to send for calls of this process."""
        before = rounds.progress()
        try:
            clean = await rounds.next()
        except LaterError as error:
            if rounds.progress() != before:
                backoff.succeeded()  # Prefactor took some of it
            wait = backoff.failed(error.after)
            self._log_outage(error, wait)
        except Exception as error:
            self._fail(error)
            backoff.failed(None)
        else:
            if backoff.failures:
                backoff.succeeded()
                self._log_recovery()
            return clean
        return False

    def _fail(self, error: Exception) -> None:
        """Log why a round failed, and turn delivery off if another round cannot help."""
        match error:
            case DeniedError():
                self.off = str(error)
                logger.error(
                    "Prefactor does not accept the token (%s): nothing more is delivered, the "
                    "journal keeps everything; run prefactor-agent push once the token is right",
                    error,
                )
            case UnusableJournalError():
                self.off = str(error)  # the journal's writer has logged it
            case StorageUnavailableError() | OSError():
                # Locked, on a full disk …: what was not acknowledged is sent again, word for word.
                failures["deliver.journal"] += 1
                if failures["deliver.journal"] == 1:
                    logger.warning(
                        "%s cannot be read or written now (%s): delivery waits until it can",
                        self._settings.journal,
                        error,
                    )
            case StorageError():
                report("deliver.journal", error)
            case _:
                report("deliver.round", error)

    def _log_outage(self, error: LaterError, wait: float) -> None:
        """Log once that Prefactor cannot be reached."""
        if self._outage_logged:
            return
        self._outage_logged = True
        logger.warning(
            "Prefactor cannot be reached (%s): the journal keeps everything until it can; next try "
            "in %.1f s",
            error,
            wait,
        )

    def _log_recovery(self) -> None:
        if self._outage_logged:
            self._outage_logged = False
            logger.info("Prefactor answers again")

    async def _rest(self, rounds: Rounds, backoff: Backoff) -> None:
        """Wait until there is a reason for the next round."""
        assert self._wakened is not None
        if backoff.remaining:
            await self._sleep(backoff.remaining, until_stopped=True)
            return
        begun = time.monotonic()
        if not self._pending:
            self._wakened.clear()
            if not self._pending and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(rounds.patience()):
                        await self._wakened.wait()
        rest = INTERVAL_S - (time.monotonic() - begun)
        if not self._flushing and rounds.patience() != 0:
            await self._sleep(rest)

    async def _sleep(self, seconds: float, *, until_stopped: bool = False) -> None:
        end = time.monotonic() + seconds
        assert self._wakened is not None
        while (left := end - time.monotonic()) > 0 and not self._stopping:
            if self._flushing and not until_stopped:
                return
            self._wakened.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.5)):
                    await self._wakened.wait()

    def _terminate(self, session_id: str, reason: str | None) -> None:
        if self._on_terminate is None:
            return
        try:
            self._on_terminate(session_id, reason)
        except Exception as error:
            report("deliver.on_terminate", error)


_deliverers: weakref.WeakSet[Deliverer] = weakref.WeakSet()


def _forget_parent() -> None:
    # Threads do not survive a fork, and a child must not use the loop or the connections of its
    # parent. The parent goes on with what it had begun.
    for deliverer in list(_deliverers):
        deliverer._reset()


at_fork(after_in_child=_forget_parent)
