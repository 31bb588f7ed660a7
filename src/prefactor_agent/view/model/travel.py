"""How the sound of both sides travelled: what the page draws of it as a lane, and in words.

Pure. What is not known is left out; a call that was in no room says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.json import JSON
from ...core.text import count
from ...core.values import as_int, as_list, mapping, mappings, number, text
from .calltree import CallTree
from .numbers import clock

_BAD_PERCENT = 10.0
"""Lost packets, or made-up sound, at which words are not understood any more."""
_BAD_JITTER_MS = 100.0
_WHO = {"user": "caller", "agent": "agent"}
_POOR = ("poor", "lost")


@dataclass(frozen=True, slots=True)
class Sample:
    """How the sound of one side was in a stretch of time. Microseconds from the beginning of the
    call."""

    voice: str
    """``user`` or ``agent``."""
    from_us: int
    to_us: int
    badness: float
    """From 0 (nothing was lost) to 1 (not to be understood)."""


def samples(call: CallTree) -> list[Sample]:
    """All samples of a call, those of the caller first."""
    return [sample for voice in _WHO for sample in _samples(voice, _part(call, voice))]


def _samples(voice: str, stats: JSON) -> Iterator[Sample]:
    ends = [at for at in as_list(stats.get("at_us")) if isinstance(at, int)]
    lost, concealed, jitter = (
        as_list(stats.get(name)) for name in ("lost_percent", "concealed_percent", "jitter_ms")
    )
    begins = [max(0, 2 * ends[0] - ends[1])] if len(ends) > 1 else [0]
    for index, (begun, ended) in enumerate(zip([*begins, *ends], ends, strict=False)):
        bad = max(
            _at(lost, index) / _BAD_PERCENT,
            _at(concealed, index) / _BAD_PERCENT,
            _at(jitter, index) / _BAD_JITTER_MS,
        )
        yield Sample(voice, begun, ended, round(min(1.0, bad), 2))


def _at(column: list[object], index: int) -> float:
    value = column[index] if index < len(column) else None
    return number(value) or 0.0


def in_words(call: CallTree) -> list[str]:
    """``caller: 2.1 % of the packets lost, jitter up to 38 ms``, ``agent: …``, and what else was
    wrong with the sound."""
    result = call.session.result if call.session is not None else {}
    found = [
        f"{who}: {', '.join(parts)}"
        for voice, who in _WHO.items()
        if (parts := list(_said(voice, _part(call, voice))))
    ]
    for one in mappings(as_list(mapping(result.get("sound")).get("quality"))):
        at, quality = as_int(one.get("at_us")), text(one.get("quality"))
        if at is not None and quality in _POOR:
            who = _WHO.get(text(one.get("voice")), "")
            found.append(f"connection of the {who} {quality} at {clock(at)}")
            break
    if (times := as_int(result.get("reconnects"))) is not None:
        found.append(f"the agent was reconnected {count(times, 'time')}")
    echo = mapping(mapping(result.get("sound")).get("echo"))
    if turns := as_int(echo.get("turns")):
        delay = number(echo.get("delay_ms")) or 0.0
        of = as_int(echo.get("of_turns")) or turns
        found.append(f"the agent's echo in {turns} of {count(of, 'answer')}, {delay:.0f} ms later")
    return found


def _said(voice: str, stats: JSON) -> Iterator[str]:
    packets, lost = as_int(stats.get("packets")), as_int(stats.get("packets_lost"))
    if packets and lost is not None:
        whole = packets + lost if voice == "user" else packets
        yield f"{_percent(lost * 100 / whole)} of the packets lost"
    if made_up := [
        value for value in map(number, as_list(stats.get("concealed_percent"))) if value
    ]:
        samples = len(as_list(stats.get("concealed_percent")))
        yield f"{_percent(sum(made_up) / samples)} of the sound made up"
    if jitter := [v for v in map(number, as_list(stats.get("jitter_ms"))) if v is not None]:
        yield f"jitter up to {max(jitter):.0f} ms"


def _percent(value: float) -> str:
    return "none" if value == 0 else f"{value:.1f} %" if value >= 0.05 else "under 0.1 %"


def _part(call: CallTree, voice: str) -> JSON:
    result = call.session.result if call.session is not None else {}
    return mapping(mapping(result.get("sound")).get(voice))
