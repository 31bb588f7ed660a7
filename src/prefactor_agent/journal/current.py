"""What is open on a journal, reopened when another file is at the journal's path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from .place import Identity, file_identity

T = TypeVar("T")


class CurrentFile(Generic[T]):
    """Holds what is open on the file at a path. A journal can be removed, or set aside as damaged
    and begun anew: what is open on the old file is closed then.

    Args:
        path: The journal's.
        open_: Opens the file that is there; ``None``: it cannot be opened yet.
        close: Closes what was opened.

    Used by one thread. Raises what ``open_`` and ``close`` raise.
    """

    def __init__(
        self, path: Path, open_: Callable[[Path], T | None], close: Callable[[T], object]
    ) -> None:
        self._path, self._open, self._close = path, open_, close
        self.opened: T | None = None
        self.identity: Identity | None = None
        """The file that was at the path at the last look, as long as it is not closed."""

    def get(self) -> T | None:
        """What is open on the file that is there now; ``None``: there is no file, or it cannot be
        opened yet."""
        found = file_identity(self._path)
        if found != self.identity:
            self.close()
        if self.opened is None and found is not None:
            self.identity = found  # before it is opened: a later change is seen at the next look
            self.opened = self._open(self._path)
        return self.opened

    def was_replaced(self) -> bool:
        """Whether another file, or none, is where the open one was."""
        return self.opened is not None and file_identity(self._path) != self.identity

    def close(self) -> None:
        opened, self.opened, self.identity = self.opened, None, None
        if opened is not None:
            self._close(opened)
