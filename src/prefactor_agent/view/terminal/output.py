"""Lines of styled text to a terminal, to whatever stands in its place, or into a picture."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .glyphs import Glyphs, glyphs_for

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


def write_svg(lines: Iterable[Text], path: Path, title: str, width: int) -> None:
    """Write lines, as a terminal of this width would show them, to a file.

    Args:
        title: What stands in the bar above them.
        width: Columns.
    """
    console = Console(
        record=True, file=io.StringIO(), width=width, force_terminal=True, highlight=False,
        color_system="truecolor", markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        console.print(line, soft_wrap=True)
    # rich has the picture load its font from the network; the reader's own will do.
    picture = re.sub(r"@font-face \{.*?\}\n", "", console.export_svg(title=title), flags=re.DOTALL)
    path.write_text(picture, encoding="utf-8")
