"""Lines of styled text to a terminal, or to whatever stands in its place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from .draw import Glyphs, glyphs_for

Lines = Callable[[int, Glyphs], Iterable[Text]]


def print_lines(lines: Lines, width: int | None = None) -> None:
    """Print what ``lines`` makes of the width (of a pipe: 80 columns) and the characters that the
    output has. Colours only on a terminal, and not with ``NO_COLOR``."""
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    for line in lines(console.width, glyphs_for(console.encoding)):
        # Already fitted; a terminal narrower than the least width wraps it itself.
        console.print(line, soft_wrap=True)
    sys.stdout.flush()
