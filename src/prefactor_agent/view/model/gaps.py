"""The silences inside answers: the caller waits for more of what was begun (docs/latency.md)."""

from __future__ import annotations

from typing import NamedTuple

from ...core.values import mappings, number, text
from .calltree import CallTree
from .stagenames import label
from .turns import Node, Turn

_CAUSES = {"llm": "the model", "tts": "the voice"}


class Gap(NamedTuple):
    """A silence inside an answer."""

    ms: float
    cause: str
    """``llm``, ``tts``, or ``tool:NAME``."""

    @property
    def waits_for(self) -> str:
        """What the caller waited for, in words."""
        return _CAUSES.get(self.cause, label(self.cause))


def gaps(answer: Node) -> list[Gap]:
    """The silences inside one answer, in order."""
    return [
        Gap(ms, text(one.get("cause")))
        for one in mappings(answer.span.result.get("gaps"))
        if (ms := number(one.get("ms"))) is not None
    ]


def longest_gap(turn: Turn) -> Gap | None:
    """The longest silence inside the answers of a turn."""
    found = [gap for answer in turn.answers for gap in gaps(answer)]
    return max(found, key=lambda gap: gap.ms, default=None)


def longest_gaps(call: CallTree) -> list[Gap]:
    """Of each answer of a call that has any, the longest silence inside it."""
    answers = [answer for turn in call.turns for answer in turn.answers]
    return [max(found, key=lambda gap: gap.ms) for one in answers if (found := gaps(one))]
