"""The thread that delivers to one target while the agent runs.

It sleeps until spans are written to the journal (:meth:`Deliverer.wake`) and sends at most once in
the target's interval. It never touches the agent's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

from ...config import ConfigurationError
from ...core.forks import at_fork
from ...core.guard import failures, logger, report
from ...journal.errors import StorageError, StorageUnavailableError, UnusableJournalError
from .backoff import Backoff
from .http import LaterError, NotAcceptedError
from .rounds import Rounds
from .target import Target

MANY_SPANS = 24
"""A round that sends so many has most likely not sent the last of them."""
FIRST_WAIT_S = 0.5
"""The wait after the first failure in a row: see :class:`.backoff.Backoff`."""


class Deliverer:
    """Delivers what this process records, and what processes that are gone left behind.

    Args:
        is_mine: Whether this deliverer delivers a call of this process, by its session's id; by
            default it delivers all.
        on_delivered: Called on the delivering thread with the session's id of a call of which
            nothing is left to do.
    """

    def __init__(
        self,
        target: Target,
        *,
        is_mine: Callable[[str], bool] = lambda _session_id: True,
        on_delivered: Callable[[str], None] = lambda _session_id: None,
    ) -> None:
        self._target = target
        self._is_mine, self._on_delivered = is_mine, on_delivered
        self._reset()
        _deliverers.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakened: asyncio.Event | None = None
        self._idle = False
        """The thread sleeps until something is new. While it rests between rounds, it looks for
        that by itself."""
        self._pending = True
        self._stopping = False
        self._flushing = 0
        self._round = threading.Condition()
        self._rounds = 0
        self._clean = False
        self._outage_logged = False
        self._sent = 0
        """How many spans the last round sent."""
        self.off: str | None = None
        """Why this process delivers nothing (any more)."""

    # From any thread

    def start(self) -> None:
        """Start the thread, if the settings want it. Log in one line what is wrong in them."""
        with self._lock:
            if self._thread is not None or self.off is not None:
                return
            if not self._target.wanted:
                self.off = "not wanted"
                return
            try:
                self._target.prepare()
            except ConfigurationError as error:
                # First the line: who sees that it is off finds why.
                logger.error(
                    "nothing is delivered to %s, the journal is: %s", self._target.to, error
                )
                self.off = str(error)
                return
            self._thread = threading.Thread(
                target=self._run, name=f"prefactor-deliver-{self._target.key}", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Note that something new is in the journal. Cheap enough to call after every write."""
        if self._pending:
            return
        self._pending = True
        if self._idle:
            self._poke()

    def nudge(self) -> None:
        """Have a round made soon."""
        self._pending = True
        self._poke()

    def flush(self, timeout: float) -> bool:
        """As :func:`flush`."""
        return flush([self], timeout)

    @contextlib.contextmanager
    def flushing(self) -> Iterator[int]:
        """Do not rest between rounds. Gives the number of rounds after which what the journal has
        now is looked at."""
        with self._round:
            wanted = self._rounds + 2  # the round that runs now may have read too early
            self._flushing += 1
        try:
            yield wanted
        finally:
            with self._round:
                self._flushing -= 1

    def settled(self, wanted: int, wait: float) -> bool | None:
        """Whether so many rounds were made and nothing is left; ``None``: not yet, after ``wait``
        seconds."""
        with self._round:
            if self._thread is None or self.off is not None:
                return False
            if not (self._clean and self._rounds >= wanted) and wait > 0:
                self._round.wait(wait)
            return True if self._clean and self._rounds >= wanted else None

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

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:
            report("deliver", error)
            self.off = f"{type(error).__name__}: {error}"
        finally:
            self._loop = None
            with self._round:
                if self.off is None:
                    self.off = "stopped"
                self._round.notify_all()

    async def _main(self) -> None:
        self._wakened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with self._target.connect(self._on_delivered) as open_:
            rounds = Rounds(self._target.settings.journal, open_, self._is_mine)
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
            clean = await rounds.next(asked=self._flushing > 0)
        except LaterError as error:
            if rounds.progress() != before:
                backoff.succeeded()  # the target took some of it
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
        finally:
            self._sent = rounds.progress()[0] - before[0]
        return False

    def _fail(self, error: Exception) -> None:
        """Log why a round failed, and turn delivery off if another round cannot help."""
        match error:
            case NotAcceptedError():
                logger.error(
                    "%s does not accept %s (%s): nothing more is delivered, the journal keeps "
                    "everything; run prefactor-agent push once %s is right",
                    self._target.to,
                    self._target.secret,
                    error,
                    self._target.secret,
                )
                self.off = str(error)
            case UnusableJournalError():
                self.off = str(error)  # the journal's writer has logged it
            case StorageUnavailableError() | OSError():
                # Locked, on a full disk …: what was not acknowledged is sent again, word for word.
                failures["deliver.journal"] += 1
                if failures["deliver.journal"] == 1:
                    logger.warning(
                        "%s cannot be read or written now (%s): delivery waits until it can",
                        self._target.settings.journal,
                        error,
                    )
            case StorageError():
                report("deliver.journal", error)
            case _:
                report("deliver.round", error)

    def _log_outage(self, error: LaterError, wait: float) -> None:
        """Log once that the target cannot be reached."""
        if self._outage_logged:
            return
        self._outage_logged = True
        logger.warning(
            "%s cannot be reached (%s): the journal keeps everything until it can; next try "
            "in %.1f s",
            self._target.to,
            error,
            wait,
        )

    def _log_recovery(self) -> None:
        if self._outage_logged:
            self._outage_logged = False
            logger.info("%s answers again", self._target.to)

    async def _rest(self, rounds: Rounds, backoff: Backoff) -> None:
        """Wait until there is a reason for the next round."""
        assert self._wakened is not None
        if backoff.remaining:
            await self._sleep(backoff.remaining, until_stopped=True)
            return
        begun = time.monotonic()
        await self._until_woken(rounds.patience())
        interval = self._target.interval_s
        if self._sent >= MANY_SPANS:
            interval = self._target.busy_interval_s or interval
        rest = interval - (time.monotonic() - begun)
        if not self._flushing and rounds.patience() != 0:
            await self._sleep(rest)

    async def _until_woken(self, seconds: float | None) -> None:
        """Sleep until something is new, for so many seconds at most."""
        assert self._wakened is not None
        self._wakened.clear()
        self._idle = True  # before the look: who wakes looks at the two the other way round
        try:
            if not self._pending and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._wakened.wait()
        finally:
            self._idle = False

    async def _sleep(self, seconds: float, *, until_stopped: bool = False) -> None:
        end = time.monotonic() + seconds
        assert self._wakened is not None
        while (left := end - time.monotonic()) > 0 and not self._stopping:
            if self._flushing and not until_stopped:
                return
            self._wakened.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wakened.wait()


def flush(deliverers: Sequence[Deliverer], timeout: float) -> bool:
    """Deliver what the journal has now to all targets at once, within ``timeout`` seconds. Returns
    whether nothing of this process's calls is left, apart from what was refused."""
    deadline = time.monotonic() + timeout
    delivered = True
    with contextlib.ExitStack() as stack:
        waiting = [(one, stack.enter_context(one.flushing())) for one in deliverers]
        while waiting:
            for one, _ in waiting:
                one.nudge()
            one, wanted = waiting[0]
            left = deadline - time.monotonic()
            done = one.settled(wanted, min(left, 0.05))
            if done is not None:
                waiting.pop(0)
                delivered = delivered and done
            elif left <= 0:
                return False
    return delivered


_deliverers: weakref.WeakSet[Deliverer] = weakref.WeakSet()


def _forget_parent() -> None:
    # Threads do not survive a fork, and a child must not use the loop or the connections of its
    # parent. The parent goes on with what it had begun.
    for deliverer in list(_deliverers):
        deliverer._reset()


at_fork(after_in_child=_forget_parent)
