"""Objects as files that DuckDB reads parts of. DuckDB would download an extension to read object
storage itself."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from .storage import ArchiveError, Storage

PROTOCOL = "prefactor-archive"
_TAIL = 64 * 1024
"""Bytes of the end that are read at once: most often all that says what the object has."""


class ObjectFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The objects of an archive, for reading."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage
        self._sizes: dict[str, int] = {}
        self._whole: dict[str, bytes] = {}
        self._tails: dict[str, bytes] = {}
        self.trouble: ArchiveError | None = None
        """Why the storage could not be read."""

    def expect(self, sizes: Mapping[str, int], whole: Mapping[str, bytes]) -> None:
        """Make known what will be read.

        Args:
            sizes: Bytes of each object, by its path.
            whole: The objects that are here already.
        """
        self._sizes.update(sizes)
        self._whole = dict(whole)

    def open(self, path: str, mode: str = "rb", **_: Any) -> io.RawIOBase | io.BytesIO:
        name = self._strip_protocol(path)
        if name in self._whole:
            return io.BytesIO(self._whole[name])
        size = self._sizes[name]
        if name not in self._tails:
            self._tails[name] = self.read_part(name, max(0, size - _TAIL), size)
        return _Part(self, name, size, self._tails[name])

    def read_part(self, path: str, start: int, end: int) -> bytes:
        try:
            return self._storage.get_range(path, start, end)
        except ArchiveError as error:
            self.trouble = error  # DuckDB makes an error of its own of it
            raise

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        if name not in self._sizes:
            raise FileNotFoundError(path)
        return {"name": name, "size": self._sizes[name], "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(0, UTC)  # no object changes while it is read

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return [self.info(path) if detail else path]

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self._strip_protocol(path)]


class _Part(io.RawIOBase):
    """An object of which only what is asked for is read."""

    def __init__(self, files: ObjectFiles, path: str, size: int, tail: bytes) -> None:
        self._files, self._path, self._size, self._tail = files, path, size, tail
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        end = self._size if count < 0 else min(self._size, self._at + count)
        start, self._at = self._at, max(self._at, end)
        if start >= end:
            return b""
        begins = self._size - len(self._tail)
        if start >= begins:
            return self._tail[start - begins : end - begins]
        return self._files.read_part(self._path, start, end)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
