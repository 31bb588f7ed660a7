"""Refuses a LiveKit that is too old, before anything of it is used.

The tests run on the oldest version that is taken, and on the newest."""

from __future__ import annotations

import re

_OLDEST = (1, 5)


def require_livekit() -> None:
    """Refuse a LiveKit that is too old: on one, a session can wait for ever. pip refuses it, too,
    unless it is told to leave dependencies alone.

    Raises:
        ImportError: What is installed, and what to do.
    """
    # Imported only here: the command line, which uses no LiveKit, starts without it.
    from importlib import metadata

    try:
        installed = metadata.version("livekit-agents")
    except metadata.PackageNotFoundError:
        return  # it is there in another way, or its import says what is missing
    numbers = re.match(r"(\d+)\.(\d+)", installed)
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise ImportError(
            f"livekit-agents {installed} is too old for prefactor-agent:"
            " pip install -U 'livekit-agents>=1.5,<2'"
        )
