"""The recordings of an archive's calls, as files on this machine."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock

from ..stored import recording
from ..stored.recording import Recording
from .layout import Object
from .storage import Storage

_KEPT = 8
"""So many are kept on this machine at a time: one that is heard is asked for in many ranges."""


class _Fetched:
    """Copies of objects, for this process only; the least recently used go first."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="prefactor-agent-"))  # 0700
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._files: OrderedDict[tuple[str, Object], Path] = OrderedDict()
        self._lock = Lock()
        self._made = 0

    def path(self, storage: Storage, found: Object) -> Path:
        key = storage.address, found
        with self._lock:
            if key not in self._files:
                self._made += 1
                file = self._folder / f"{self._made}.ogg"
                file.write_bytes(storage.get(found.path))
                self._files[key] = file
            self._files.move_to_end(key)
            while len(self._files) > _KEPT:
                with suppress(OSError):  # on Windows one that is open stays until the process ends
                    self._files.popitem(last=False)[1].unlink()
            return self._files[key]


_fetched = cache(_Fetched)


def fetched(storage: Storage, found: Object) -> Recording | None:
    """The recording in an object. That of a folder is read where it lies, another one is copied.

    Raises:
        ArchiveError, OSError
    """
    if storage.folder is not None:
        return recording.read(storage.folder / found.path)
    return recording.read(_fetched().path(storage, found))
