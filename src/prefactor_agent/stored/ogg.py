"""Reads how long an Ogg file with Opus in it is, and its comments, also of one that is still being
written or was broken off: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg).

Only the first and the last pages are read, whatever the length of the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OPUS_RATE = 48_000
"""In which positions are counted, whatever rate the sound was recorded in."""
_PAGE = struct.Struct("<4sBBqIIIB")
"""OggS, version, flags, position, serial number, number, checksum, count of segments."""
_LONGEST_PAGE = _PAGE.size + 255 + 255 * 255
_HEADERS = 1 << 20
"""Of a file's beginning so much is looked through for its comments."""


class OpusFile(NamedTuple):
    """What the pages of a file say."""

    seconds: float
    channels: int
    comments: dict[str, str]
    """By their names, in capitals."""


class _Page(NamedTuple):
    position: int
    body: bytes


def read(path: Path) -> OpusFile | None:
    """What the pages of a file say; ``None``: it is no Opus in Ogg, or not even its headers are
    whole.

    Raises:
        OSError: The file is not there, or cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEADERS)
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _LONGEST_PAGE))
        tail = file.read()
    pages = _pages(head)
    opus, tags = next(pages, None), next(pages, None)
    if opus is None or tags is None or not opus.body.startswith(b"OpusHead"):
        return None
    if not tags.body.startswith(b"OpusTags") or len(opus.body) < 12:
        return None
    skipped = int.from_bytes(opus.body[10:12], "little")
    begins = tail.find(b"OggS")
    last = max((page.position for page in _pages(tail[max(0, begins) :])), default=0)
    return OpusFile(
        max(0, last - skipped) / OPUS_RATE, opus.body[9], _comments(tags.body[len(b"OpusTags") :])
    )


def _pages(data: bytes) -> Iterator[_Page]:
    """The pages that are whole, from the beginning on."""
    at = 0
    while len(data) - at >= _PAGE.size:
        magic, _, _, position, _, _, _, count = _PAGE.unpack_from(data, at)
        table = data[at + _PAGE.size : at + _PAGE.size + count]
        begins = at + _PAGE.size + count
        at = begins + sum(table)
        if magic != b"OggS" or len(table) < count or at > len(data):
            return
        yield _Page(position, data[begins:at])


def _comments(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        at = 4 + int.from_bytes(data[:4], "little")
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            name, _, value = data[at + 4 : at + 4 + length].decode().partition("=")
            found[name.upper()] = value
            at += 4 + length
    except (struct.error, UnicodeDecodeError):  # broken off: what was read before is right
        pass
    return found
