"""Lines of styled text to a terminal, or to whatever stands in its place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from .draw import Glyphs, glyphs_for

Draw = Callable[[int, Glyphs], Iterable[Text]]
"""Makes the lines for an output of a width (in columns) and a set of characters."""


def print_lines(draw: Draw, width: int | None = None) -> None:
    """Print lines. Colours only on a terminal, and not with ``NO_COLOR``.

    Args:
        draw: Makes the lines, of the width and the characters that the output has.
        width: In columns. Default: the terminal's; of a pipe 80.
    """
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    if console.width < 1:  # COLUMNS=0, which some terminals set
        console.width = 80
    for line in draw(console.width, glyphs_for(console.encoding)):
        # Already fitted; a terminal narrower than the least width wraps it itself.
        console.print(line, soft_wrap=True)
    sys.stdout.flush()
