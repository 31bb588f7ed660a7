"""Where an exception was raised: the innermost frames of its traceback, one line each."""

from __future__ import annotations

import functools
import os
import sys
from collections import deque
from pathlib import Path
from types import CodeType

FRAMES = 16
"""So many frames of a traceback are kept, those nearest to where the exception was raised."""
_OURS = str(Path(__file__).parents[1]) + os.sep
_DEMO = f"{_OURS}demo{os.sep}"
"""The agent of the demo comes with the package, and is a program like any other."""


def stack_of(error: BaseException) -> str | None:
    """The traceback of an exception as lines of ``file:line in function``, the innermost last, as
    Python has them; without the tracer's own frames. ``None``: it was never raised.

    It has neither lines of source, whose files would have to be read, nor values of variables. No
    frame is kept: a frame keeps alive each local variable of the program's.
    """
    frames: deque[tuple[CodeType, int]] = deque(maxlen=FRAMES)
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_OURS) or code.co_filename.startswith(_DEMO):
            frames.append((code, traceback.tb_lineno))
        traceback = traceback.tb_next
    lines = [f"{_shown(code.co_filename)}:{line} in {code.co_qualname}" for code, line in frames]
    return "\n".join(lines) or None


@functools.lru_cache(maxsize=512)
def _shown(path: str) -> str:
    """A file as a program imports it: ``livekit/agents/llm/llm.py``. Of one that lies elsewhere,
    its folder and its name: the way to it can name a person."""
    parts = Path(path).parts
    for folder in sorted(filter(None, map(str, sys.path)), key=len, reverse=True):
        above = Path(folder).parts
        if len(parts) > len(above) and parts[: len(above)] == above:
            return "/".join(parts[len(above) :])
    return "/".join(parts[-2:]) if Path(path).is_absolute() else "/".join(parts)
