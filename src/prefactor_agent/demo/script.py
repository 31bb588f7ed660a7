"""The demo call, as data: what the caller says and when, and what the model answers.

Nothing here waits for a time of day: the caller speaks after an event, and a short breath.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Line:
    """One thing that the caller says."""

    text: str
    after: Literal["answer", "talking"] = "answer"
    """Say it once the agent has finished its answer, or while it is still talking."""
    breath: float = 0.3
    """Seconds from the end of the agent's answer, or into it if it is talked over."""


@dataclass(frozen=True)
class Call:
    """A tool call that the model asks for."""

    name: str
    arguments: dict[str, str]


@dataclass(frozen=True)
class Rule:
    """How the model answers one question."""

    question: str
    says: str
    """The answer; ``{name}`` stands for the result of the tool of that name."""
    calls: tuple[Call, ...] = ()
    """Tools to call first, all in one go."""


GREETING = "Kitchen shop, hello. How can I help?"
FALLBACK = "I am sorry, I can only help with orders, our stock and our opening hours."

WHERE = "Where is my order number forty two?"
KETTLE = "Do you have a kettle and are you open on Saturday?"
CANCEL = "Then please cancel my order."
RETURN = "How can I send it back?"
GOODBYE = "That is all I need. Thank you and goodbye."

CALLER: tuple[Line, ...] = (
    Line(WHERE),
    Line(KETTLE),
    Line(CANCEL),
    Line(RETURN),
    Line(GOODBYE, after="talking", breath=2.0),
)

RULES: tuple[Rule, ...] = (
    Rule(WHERE, "{look_up_order}", (Call("look_up_order", {"order_id": "42"}),)),
    Rule(
        KETTLE,
        "{check_stock} {store_hours}",
        (Call("check_stock", {"item": "kettle"}), Call("store_hours", {"day": "Saturday"})),
    ),
    Rule(
        CANCEL,
        "I am sorry. {cancel_order}",
        (Call("cancel_order", {"order_id": "42"}),),
    ),
    Rule(
        RETURN,
        "Sending it back is easy. First put everything into the box that it came in. "
        "Then print the label that is in our mail to you, and stick it over the old one. "
        "Bring the box to any post office within thirty days. "
        "Your money is back on your card about a week later.",
    ),
    Rule(GOODBYE, "You are welcome. Goodbye!"),
)

INTERRUPTED = RETURN
"""The question whose answer the caller talks over."""


def sentences() -> list[str]:
    """All that the caller may say, for a grammar."""
    return [line.text for line in CALLER]


def read_rules(file: Path) -> tuple[Rule, ...]:
    """More rules, from a file of JSON: a list of objects with ``question``, ``says`` and, if the
    answer takes tools, ``calls``: a list of ``{"name", "arguments"}``.

    Raises:
        ValueError: It is no such file.
    """

    def rule(one: dict[str, Any]) -> Rule:
        calls = tuple(Call(call["name"], call["arguments"]) for call in one.get("calls", ()))
        return Rule(one["question"], one["says"], calls)

    try:
        return tuple(rule(one) for one in json.loads(file.read_text()))
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is no list of rules: {error!r}") from None
