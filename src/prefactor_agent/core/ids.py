"""Identifiers in Prefactor's own format (PFID), made quickly.

A PFID is 32 characters of Crockford's base 32: 10 for the milliseconds since the epoch, 6 for the
partition, 16 of chance. ``pfid`` writes it bit by bit, which takes about 40 microseconds: with ten
spans a turn that alone would be more than everything else that the tracer does on the event loop.
The tests decode every one of ours with ``pfid`` itself.
"""

from __future__ import annotations

import os
import random
import time
from functools import lru_cache

from .forks import at_fork

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, in small letters: the character of each value."""
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
"""Two characters for each 10 bits."""
_OF_BYTE = (ALPHABET * 8).encode()
"""A character for each byte: a byte of chance makes each of them equally likely."""

_random = random.Random(os.urandom(32))  # noqa: S311  # unique, not secret, and no system call
at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


class Ids:
    """Makes the ids of one call: all in one partition, as Prefactor's related ids are."""

    def __init__(self, partition: int | None = None) -> None:
        """``partition`` is 0 to 2**30 - 1; without one, any."""
        chosen = _random.getrandbits(30) if partition is None else partition
        self._partition = _encode(chosen, 6)

    def new(self) -> str:
        """A new PFID, stamped with the present time."""
        milliseconds = time.time_ns() // 1_000_000
        chance = _random.randbytes(16).translate(_OF_BYTE).decode()
        return _leading(milliseconds >> 10) + _PAIRS[milliseconds & 1023] + self._partition + chance


def stamped(id_: str, unix_us: int) -> str:
    """A PFID with another time in it."""
    return _encode(unix_us // 1000, 10) + id_[10:]


@lru_cache(4)  # the same for about a second
def _leading(bits: int) -> str:
    return _encode(bits, 8)


def _encode(bits: int, characters: int) -> str:
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(characters * 5 - 10, -1, -10)])
