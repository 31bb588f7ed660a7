"""What is to be done when the process forks, and what a fork must not cut in two.

SQLite keeps in memory which locks the connections of its process hold. A process that is forked in
the middle of a transaction has a copy of that: in the child the lock is held for ever, by a
connection that nobody uses, and every connection that the child opens itself finds the file locked
(sqlite.org/howtocorrupt.html, 2.6, forbids to carry a connection across a fork; here it is in the
hands of another thread, which nobody can ask). The same holds for what SQLite locks in memory while
it opens or closes a file: the child would wait for it for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

_LONGEST_S = 0.5
"""How long a fork waits for a transaction; it takes milliseconds, unless another process has the
file."""

_transaction = threading.Lock()
_held = False
_inherited: list[Any] = []


def at_fork(**callbacks: Callable[[], object]) -> None:
    """``os.register_at_fork``, where processes can be forked: on Windows they cannot."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**callbacks)


def fork_safe() -> AbstractContextManager[object]:
    """A fork waits for what is done in here: every transaction that writes, and every closing."""
    return _transaction


def never_close(connection: Any) -> None:
    """Keep a connection of the parent's: to close it here would touch the parent's locks."""
    if connection is not None:
        _inherited.append(connection)


def _before() -> None:
    global _held
    _held = _transaction.acquire(timeout=_LONGEST_S)


def _in_parent() -> None:
    global _held
    if _held:
        _held = False
        _transaction.release()


def _in_child() -> None:
    global _transaction, _held
    _transaction, _held = threading.Lock(), False


at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
