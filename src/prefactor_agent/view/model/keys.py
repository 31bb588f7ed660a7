"""The keys of a telephone (DTMF) that were pressed in a call, and those that the agent sent."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...core.text import count
from ...core.values import as_int, mappings, text
from .calltree import CallTree

_APART_US = 5_000_000
"""Keys that follow each other within this time are one input."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was pressed, or sent by the agent."""

    at_us: int
    """Microseconds since the Unix epoch."""
    digit: str
    """As it was recorded: it may have been redacted."""
    sent: bool
    """By the agent."""
    failed: bool
    """The agent could not send it."""
    participant: str
    """Who pressed it; empty if that is not known."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that the same side pressed, one soon after the other."""

    keys: tuple[Key, ...]
    omitted: int = 0
    """How many came after these that the trace does not hold."""

    @property
    def started_us(self) -> int:
        return self.keys[0].at_us

    @property
    def ended_us(self) -> int:
        return self.keys[-1].at_us

    @property
    def words(self) -> str:
        """``keys 7 9 pressed by anna``."""
        first, digits = self.keys[0], [key.digit for key in self.keys]
        many = len(digits)
        if all(len(digit) == 1 for digit in digits):
            which = f"key{'s' if many > 1 else ''} {' '.join(digits)}"
        else:  # they were not captured, or redacted
            which = count(many, "key")
        if first.failed:
            did = "could not be sent by the agent"
        elif first.sent:
            did = "sent by the agent"
        else:
            did = f"pressed by {first.participant}" if first.participant else "pressed"
        more = f", and {count(self.omitted, 'more key')} after that" if self.omitted else ""
        return f"{which} {did}{more}"


def keys_of(call: CallTree) -> tuple[Key, ...]:
    """All keys of a call, in the order of time."""
    result = call.session.result if call.session is not None else {}
    found = [
        Key(
            call.started_us + at,
            text(one.get("digit")),
            sent=one.get("direction") == "sent",
            failed=one.get("failed") is True,
            participant=_name(text(one.get("participant"))),
        )
        for one in mappings(result.get("dtmf"))
        if (at := as_int(one.get("at_us"))) is not None
    ]
    return tuple(sorted(found, key=lambda key: key.at_us))


def inputs(call: CallTree) -> tuple[Keys, ...]:
    """The keys of a call as they belong together. None goes over the beginning of a turn."""
    found = [Keys(tuple(keys)) for keys in _runs(call)]
    total = as_int(call.session.result.get("dtmf_total")) if call.session is not None else None
    if found and total is not None:
        held = sum(len(one.keys) for one in found)
        found[-1] = replace(found[-1], omitted=max(total - held, 0))
    return tuple(found)


def _runs(call: CallTree) -> Iterator[list[Key]]:
    begun = [turn.started_us for turn in call.turns]
    run: list[Key] = []
    for key in keys_of(call):
        if run and not _follows(key, run[-1], begun):
            yield run
            run = []
        run.append(key)
    if run:
        yield run


def _follows(key: Key, before: Key, turns_us: list[int]) -> bool:
    return (
        key.at_us - before.at_us <= _APART_US
        and (key.sent, key.failed, key.participant)
        == (before.sent, before.failed, before.participant)
        and bisect(turns_us, key.at_us) == bisect(turns_us, before.at_us)
    )


def _name(participant: str) -> str:
    """Who pressed a key; that of a call whose content was not captured is no name."""
    return "" if participant.startswith("<") else participant
