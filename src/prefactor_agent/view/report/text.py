"""Words of strangers, made safe to look at, and numbers as people read them.

A transcript, a tool's result or a room's name may hold anything. Markup is escaped; what else could
act on the page (control characters, direction overrides, line separators) is replaced by a visible
name, so that it can be seen and does nothing."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
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


def ms(value: float) -> str:
    """Milliseconds, whole, with thousands set apart."""
    return f"{math.floor(value + 0.5):,}\u202fms"


def clock(offset_us: int) -> str:
    """A moment of the call: minutes, seconds, tenths."""
    tenths = max(0, offset_us) // 100_000
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def length(us: int) -> str:
    """How long something took, in the unit that suits it."""
    seconds = us / 1e6
    if seconds < 1:
        return f"{us / 1000:.0f}\u202fms"
    if seconds < 60:
        return f"{seconds:.1f}\u202fs"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u202fh {minutes}\u202fmin" if hours else f"{minutes}\u202fmin {rest}\u202fs"


def when(epoch_us: int) -> tuple[str, str]:
    """A moment for a machine and for a reader, in UTC."""
    try:
        moment = datetime.fromtimestamp(epoch_us / 1e6, UTC)
    except (OverflowError, OSError, ValueError):
        return "", "at an unknown time"
    return moment.isoformat(timespec="milliseconds"), (
        f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M:%S} UTC"
    )


def number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
