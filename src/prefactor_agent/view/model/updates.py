"""Tools that go on in the background: what they reported while they ran, how long they really ran,
and which answers told the caller of it (``ctx.update`` of LiveKit, from 1.6 on)."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.values import as_int, as_list, mapping, mappings, number, text
from ...stored.span import StoredSpan
from .calltree import CallTree
from .turns import Node, Turn

_RESULT = "_final"
"""How LiveKit's id of a report ends that is the result of the tool."""


@dataclass(frozen=True, slots=True)
class Update:
    """A report of a tool."""

    at_us: int
    """Microseconds since the Unix epoch."""
    text: str
    silent: bool
    """It was for the model alone: no answer was to be made for it."""
    inline: bool
    """It answered the model's call; the tool went on in the background."""
    refused: bool
    """LiveKit did not take it."""
    turn: Turn | None
    """The turn with the answer that was made for it."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """A tool that an answer was made for."""

    tool_id: str
    tool_name: str
    result: bool
    """It reported the tool's result, not only its progress."""

    @property
    def words(self) -> str:
        return f"the result of {self.tool_name}" if self.result else self.tool_name


def updates(call: CallTree, tool: StoredSpan) -> tuple[Update, ...]:
    """What a tool reported, in the order of time."""
    return tuple(
        Update(
            at_us=call.started_us + at,
            text=text(one.get("text")),
            silent=one.get("silent") is True,
            inline=one.get("inline") is True,
            refused=one.get("is_error") is True,
            turn=call.turn_with(text(one.get("reply_id"))),
        )
        for one in mappings(tool.result.get("updates"))
        if (at := as_int(one.get("at_us"))) is not None
    )


def omitted(tool: StoredSpan) -> int:
    """How many reports the trace does not hold."""
    return as_int(tool.result.get("updates_omitted")) or 0


def over_us(call: CallTree, tool: StoredSpan) -> int | None:
    """When a tool was over that outlived its turn, whose end is also that of its span; ``None``: it
    did not."""
    offset = as_int(tool.result.get("finished_us"))
    if offset is None or tool.finished_us is None:
        return None
    at = call.started_us + offset
    return at if at > tool.finished_us else None


def ran_us(tool: StoredSpan) -> int | None:
    """How long a tool ran, also where it outlived its turn."""
    ran = number(tool.result.get("duration_ms"))
    if ran is not None and "finished_us" in tool.result:
        return max(round(ran * 1000), 0)
    return tool.duration_us


def answered_us(call: CallTree, tool: StoredSpan) -> int | None:
    """When a tool that went on in the background gave the model its answer; ``None``: it did not go
    on."""
    return next((one.at_us for one in updates(call, tool) if one.inline), None)


def result_turn(call: CallTree, tool: StoredSpan) -> Turn | None:
    """The turn with the answer that was made for the result of a tool in the background."""
    for turn in call.turns:
        for answer in turn.answers:
            if any(one.result and one.tool_id == tool.id for one in reply_to(answer)):
                return turn
    return None


def reply_to(answer: Node) -> tuple[ReplyTo, ...]:
    """The tools that an answer was made for, because they had something to report."""
    return tuple(
        ReplyTo(
            tool_id=text(one.get("tool_id")),
            tool_name=text(one.get("tool_name")) or "a tool",
            result=any(text(id_).endswith(_RESULT) for id_ in as_list(one.get("update_ids"))),
        )
        for one in mappings(answer.span.payload.get("reply_to"))
    )


def created_by(answer: Node) -> str:
    """The name of the tool that had an answer said; empty: none did, or it is not known."""
    return text(mapping(answer.span.payload.get("created_by")).get("tool_name"))


def origin(answer: Node) -> str:
    """``reports look_up_flights``, ``said by look_up_flights``; empty: no tool is why it was
    said."""
    tool = created_by(answer)
    return reports(answer) or (f"said by {tool}" if tool else "")


def reports(answer: Node) -> str:
    """``reports look_up_flights``; empty: it was not made for a tool in the background."""
    tools = ", ".join(one.words for one in reply_to(answer))
    return f"reports {tools}" if tools else ""
