"""What is to be done when the process forks."""

from __future__ import annotations

import os
from collections.abc import Callable


def at_fork(**callbacks: Callable[[], object]) -> None:
    """``os.register_at_fork``, where processes can be forked: on Windows they cannot."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**callbacks)
