"""Words of strangers, made safe to look at.

A transcript, a tool's result or a room's name may hold anything. Markup is escaped; what else could
act on the page (control characters, direction overrides, line separators) is replaced by a visible
name, so that it can be seen and does nothing."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

ACTING = "".join(
    map(
        chr,
        (
            *(code for code in range(0x20) if code not in (0x09, 0x0A)),
            *range(0x7F, 0xA0),
            0x061C,
            *range(0x202A, 0x202F),
            0x2028,
            0x2029,
            *range(0x2066, 0x206A),
            0xFEFF,
        ),
    )
)
_ACTING = re.compile(f"[{re.escape(ACTING)}]")
_CONTROLS = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR"),
    *("SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB"),
    *("ESC", "FS", "GS", "RS", "US"),
)
_NAMES = {
    0x7F: "DEL",
    0x061C: "ALM",
    0x2028: "LSEP",
    0x2029: "PSEP",
    0x202A: "LRE",
    0x202B: "RLE",
    0x202C: "PDF",
    0x202D: "LRO",
    0x202E: "RLO",
    0x2066: "LRI",
    0x2067: "RLI",
    0x2068: "FSI",
    0x2069: "PDI",
    0xFEFF: "BOM",
}
_SURROGATES = re.compile("[\ud800-\udfff]")


def name_of(character: str) -> str:
    """What is shown in the place of a character that would act on the page."""
    code = ord(character)
    if code < 0x20:
        return _CONTROLS[code]
    return _NAMES.get(code, f"U+{code:04X}")


def plain(value: Any) -> str:
    """Text for a place that takes no markup: a title, an attribute."""
    return _ACTING.sub(lambda found: name_of(found[0]), str(value))


def shown(value: Any) -> Markup:
    """Text for the page, kept apart from the direction of the text around it."""
    text = str(value)
    if _ACTING.search(text) is None:
        return Markup("<bdi>") + escape(text) + Markup("</bdi>")
    parts: list[Markup] = []
    end = 0
    for found in _ACTING.finditer(text):
        parts.append(escape(text[end : found.start()]))
        parts.append(Markup('<span class="ctl">{}</span>').format(name_of(found[0])))
        end = found.end()
    parts.append(escape(text[end:]))
    return Markup("<bdi>") + Markup("").join(parts) + Markup("</bdi>")


def encodable(page: str) -> str:
    """Half of a surrogate pair cannot be written as UTF-8."""
    return _SURROGATES.sub("\ufffd", page)
