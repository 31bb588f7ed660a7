"""The storage of an archive: a folder, or a bucket of S3, Google Cloud or Azure, through obstore.

What goes wrong is said in one line, without what the storage answered in full: there are keys in
it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..stored.source import SourceError
from .layout import Object

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TIMEOUT_S = 30
"""One request."""
RETRY_S = 10
"""So long the storage is asked again when it fails, before it counts as down."""
_AT_ONCE = 16
_STATUS = re.compile(r"status code: (\d{3}[\w ]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CAUSES = ("connection refused", "dns error", "timed out", "connection reset", "certificate")


class ArchiveError(SourceError):
    """The archive cannot be read or written now, or has no such call."""


class MissingExtraError(ArchiveError):
    """What the archive needs is not installed."""


class Storage:
    """The objects below an address.

    Args:
        address: ``s3://bucket/prefix``, ``gs://…``, ``az://…``, or a folder.
        create: Make the folder if there is none.

    Raises:
        ArchiveError: From every method; from the constructor, if the address cannot be used.
    """

    def __init__(self, address: str, *, create: bool = False) -> None:
        self.address = address
        self.folder = None if "://" in address else Path(address)
        try:
            import obstore
            from obstore.store import LocalStore, from_url
        except ImportError:
            raise missing("obstore") from None
        self._obstore = obstore
        self._retry = {"max_retries": 4, "retry_timeout": timedelta(seconds=RETRY_S)}
        try:
            self._store: ObjectStore
            if self.folder is not None:
                if not create and not self.folder.is_dir():
                    raise ArchiveError(f"there is no archive at {address}")
                if create:
                    self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._store = LocalStore(self.folder)
            else:
                self._store = from_url(  # type: ignore[call-overload]
                    address,
                    client_options={
                        "timeout": timedelta(seconds=TIMEOUT_S),
                        # Options that are given leave this variable unread.
                        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
                    },
                    retry_config=self._retry,
                )
        except ArchiveError:
            raise
        except Exception as error:
            raise self.trouble(error) from None

    def put(self, path: str, data: bytes, *, replace: bool = False) -> bool:
        """Write an object as a whole. ``False``: there is one, and it stays.

        Args:
            replace: Also in the place of one that is there.
        """
        try:
            self._obstore.put(self._store, path, data, mode="overwrite" if replace else "create")
        except self._obstore.exceptions.AlreadyExistsError:
            return False
        except Exception as error:
            raise self.trouble(error) from None
        return True

    def put_file(self, path: str, file: Path) -> None:
        """Write a file of any size as an object, in the place of one that is there."""
        try:
            self._obstore.put(self._store, path, file)
        except Exception as error:
            raise self.trouble(error) from None

    def head(self, path: str) -> Object | None:
        """``None``: there is no such object."""
        try:
            return Object.listed(self._obstore.head(self._store, path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self.trouble(error) from None

    def get(self, path: str) -> bytes:
        try:
            return bytes(self._obstore.get(self._store, path).bytes())
        except Exception as error:
            raise self.trouble(error) from None

    def get_all(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Several objects, read at the same time."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="prefactor-archive-get") as pool:
            return dict(zip(paths, pool.map(self.get, paths), strict=True))

    def get_range(self, path: str, start: int, end: int) -> bytes:
        try:
            return bytes(self._obstore.get_range(self._store, path, start=start, end=end))
        except Exception as error:
            raise self.trouble(error) from None

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        for path in paths:
            try:
                self._obstore.delete(self._store, path)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self.trouble(error) from None

    def folders(self, prefix: str = "") -> list[str]:
        """The folders directly below a prefix."""
        try:
            found = self._obstore.list_with_delimiter(self._store, prefix or None)
        except Exception as error:
            raise self.trouble(error) from None
        return sorted(found["common_prefixes"])

    def objects(self, prefix: str) -> Iterator[Object]:
        """All objects below a prefix."""
        try:
            for batch in self._obstore.list(self._store, prefix):
                yield from map(Object.listed, batch)
        except Exception as error:
            raise self.trouble(error) from None

    def trouble(self, error: Exception) -> ArchiveError:
        """An error of the storage in one line."""
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        if status is not None:
            why = f"{status[1].strip()}{f', {code[1]}' if code else ''}"
        else:
            low = text.lower()
            why = next((cause for cause in _CAUSES if cause in low), "")
            why = why or ("no answer" if "error sending request" in low else _first(text))
        if status is not None and status[1].startswith(("401", "403")):
            return ArchiveError(f"the archive {self.address} refuses the key ({why})")
        if status is not None and status[1].startswith("404") and code is not None:
            return ArchiveError(f"the archive {self.address} is not there ({why})")
        return ArchiveError(f"the archive {self.address} cannot be used now ({why})")


def missing(package: str) -> MissingExtraError:
    """What to say where a package of the extra is not installed."""
    return MissingExtraError(f"the archive needs {package}: pip install 'prefactor-agent[fleet]'")


def _first(text: str) -> str:
    return " ".join(text.partition("\n")[0].split())[:160]
