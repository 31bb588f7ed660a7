"""The characters that an output is drawn with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that a call is drawn with."""

    wait: str
    flow: str
    mark: str
    guide: str
    rule: str
    gap: str
    gap_begin: str
    gap_end: str
    more_left: str
    more_right: str
    loudness: str
    """From the quietest to the loudest."""
    speech: str
    """A voice whose loudness is not known."""
    ellipsis: str
    arrow: str
    cross: str
    dot: str
    quote: str
    unquote: str


UNICODE = Glyphs(
    wait="█",
    flow="━",
    mark="┃",
    guide="┊",
    rule="─",
    gap="╌",
    gap_begin="├",
    gap_end="┤",
    more_left="◂",
    more_right="▸",
    loudness="▁▂▃▄▅▆▇",
    speech="▅",
    ellipsis="…",
    arrow="→",
    cross="✗",
    dot="·",
    quote="“",
    unquote="”",
)
ASCII = Glyphs(
    wait="#",
    flow="=",
    mark="|",
    guide=":",
    rule="-",
    gap="-",
    gap_begin="|",
    gap_end="|",
    more_left="<",
    more_right=">",
    loudness=".:oO",
    speech="o",
    ellipsis="...",
    arrow="->",
    cross="x",
    dot="-",
    quote='"',
    unquote='"',
)


def glyphs_for(encoding: str) -> Glyphs:
    """The characters that an output can show."""
    characters = "".join(getattr(UNICODE, name) for name in Glyphs.__dataclass_fields__)
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
