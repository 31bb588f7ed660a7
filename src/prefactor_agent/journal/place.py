"""The journal's file and those that SQLite keeps beside it: create, identify and rename them."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

Identity = tuple[int, int]

_NEVER_WRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EEXIST,
)


def file_identity(path: Path) -> Identity | None:
    """Which file is at a path now, if any. It is another one after the journal was removed, or a
    damaged one was set aside and a new one created."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def wal(path: Path) -> Path:
    """The write-ahead log of a journal. SQLite keeps it beside the file, not beside a link to the
    file."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + "-wal")


def size(path: Path) -> int:
    """The bytes of a file; 0 if there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def create_private(path: Path) -> None:
    """Create the file, readable by its owner only, if it is not there.

    This never opens the file itself: closing it again would release the locks that other
    connections of this process hold on it (sqlite.org/howtocorrupt.html, 2.2), and the next process
    that closes the journal would remove the WAL that they use.

    Raises:
        OSError
    """
    # SQLite would create the target of a dangling link itself, readable by others.
    path = Path(os.path.realpath(path))
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path.parent):
        if path.exists():
            return  # another process was faster
        # Left by a journal that was removed; whoever still has it open must not share them with
        # the new one.
        _remove_beside(path)
        made, name = tempfile.mkstemp(dir=path.parent)  # 0600
        os.close(made)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            Path(name).unlink()


def set_aside(path: Path, damaged: Identity | None) -> Path | None:
    """Rename a damaged file.

    Returns:
        The new name; ``None``: another process was faster, and the path has another file already.

    Raises:
        OSError
    """
    with _locked(path.parent):
        if file_identity(path) != damaged:
            return None
        aside = path.with_name(f"{path.name}.corrupt-{time.time_ns() // 1_000_000}")
        path.rename(aside)
        _remove_beside(path)
        return aside


def never_writable(error: Exception, path: Path) -> bool:
    """Whether a write failed because the place can never be written. A full disk, or a lack of file
    descriptors, can pass."""
    if isinstance(error, OSError):
        return error.errno in _NEVER_WRITABLE
    if "unable to open" in str(error):
        return not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK)
    return isinstance(error, sqlite3.Error) and "readonly" in str(error)


def only_readable(error: sqlite3.Error, path: Path) -> bool:
    """Whether SQLite could not read because it may not write in the file's folder."""
    code = error.sqlite_errorcode & 0xFF
    folder = Path(os.path.realpath(path)).parent
    return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not os.access(
        folder, os.W_OK
    )


def _remove_beside(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes, where the system has such locks. The system releases
    the lock of a process that ends."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            opened = os.open(folder, os.O_RDONLY)
            held.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
