"""How a tool call ended: what its body returned or raised, what LiveKit's events say of it, and
what the model got in its place."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, NamedTuple

from livekit.agents import Agent, StopResponse, ToolError, llm

from ...core.json import JSON, without_none
from ...core.plain import plain
from ...core.span import Status
from ..livekit import private as livekit_private
from ..spans.outcome import describe_failure

_TOOL_RESULT: Any = getattr(llm, "ToolResult", ())  # from 1.8 on
LAST_ANSWER_DECIDES = not hasattr(llm, "ToolResult")
"""Of tools that were called together, the one that ends last decides whether there is a handoff: up
to 1.7 (voice/agent_activity.py, ``_pipeline_reply_task_impl``)."""
_COLLECTIONS = (list, tuple, set, frozenset)
"""What LiveKit looks through for agents (voice/generation.py, ``make_tool_output``)."""

REFUSED = "invalid_output"
HANDOFF = "handoff"
HANDOFF_REFUSED = "handoff_refused"


class Outcome(NamedTuple):
    """The status of a tool's span, and its result."""

    status: Status
    result: JSON

    @property
    def kind(self) -> str:
        """The word for it."""
        return str(self.result["outcome"])

    @property
    def given_agent(self) -> bool:
        """The tool answered with an agent."""
        return self.kind == HANDOFF


def of_value(value: Any, *, for_model: bool, awaited: bool) -> Outcome:
    """The outcome of a body that returned ``value``.

    Args:
        for_model: LiveKit passes the value on to the model, and takes some values only.
        awaited: The value was awaited; else the body is no coroutine function, and returned it at
            once.
    """
    if for_model and isinstance(value, BaseException):
        return of_error(value)  # LiveKit takes it for raised (``make_tool_output``)
    try:
        kind, outputs = _describe(value)
    except Exception:  # the value's own words fail: say what is known
        kind, outputs = "returned", {"output": f"<{type(value).__qualname__}>"}
    outcome = Outcome(Status.COMPLETE, {"outcome": kind, "outputs": outputs, "is_error": False})
    if for_model and not awaited and not inspect.isawaitable(value):
        reason = f"object {type(value).__name__} can't be used in 'await' expression"
        return _refused(outcome, "TypeError", reason)
    if for_model and not _is_taken(value):
        return _refused(outcome, "InvalidOutput", "the tool returned an invalid output")
    return outcome


def of_error(error: BaseException) -> Outcome:
    """The outcome of a body that raised ``error``."""
    if isinstance(error, StopResponse):
        return Outcome(Status.COMPLETE, {"outcome": "stop_response", "is_error": False})
    if isinstance(error, asyncio.CancelledError):
        return Outcome(Status.CANCELLED, {"outcome": "cancelled", "is_error": False})
    kind = "tool_error" if isinstance(error, ToolError) else "exception"
    described = describe_failure(error)
    return Outcome(Status.FAILED, {"outcome": kind, "is_error": True, "error": described})


def of_event(status: str, message: str | None) -> Outcome:
    """The outcome that LiveKit's events give: the text of it, and whether it is an error."""
    if status == "cancelled":
        return Outcome(Status.CANCELLED, {"outcome": "cancelled", "is_error": False})
    if status == "error":
        error = without_none({"message": message})
        return Outcome(Status.FAILED, {"outcome": "error", "is_error": True, "error": error})
    outputs = {"output": message} if message is not None else None
    return Outcome(
        Status.COMPLETE,
        without_none({"outcome": "returned", "outputs": outputs, "is_error": False}),
    )


def as_the_model_got(outcome: Outcome, output: llm.FunctionCallOutput | None) -> Outcome:
    """The outcome, corrected by what LiveKit passed on to the model; ``None``: that is unknown."""
    if output is None or output.is_error == outcome.result["is_error"]:
        if output is not None and output.is_error and outcome.kind == REFUSED:
            return Outcome(outcome.status, {**outcome.result, "model_output": output.output})
        return outcome
    if output.is_error:
        refused = _refused(outcome, "InvalidOutput", output.output)
        return Outcome(refused.status, {**refused.result, "model_output": output.output})
    if outcome.kind == REFUSED:  # something in between made of it what LiveKit takes
        taken = {key: value for key, value in outcome.result.items() if key != "error"}
        return Outcome(Status.COMPLETE, {**taken, "outcome": "returned", "is_error": False})
    return outcome


def handoff_refused(outcome: Outcome, reason: str) -> Outcome:
    """The outcome of a tool that answered with an agent which did not get the call."""
    return _refused(outcome, "HandoffRefused", reason)


def _refused(outcome: Outcome, error_type: str, message: str) -> Outcome:
    kind = REFUSED
    if outcome.given_agent:
        kind, error_type = HANDOFF_REFUSED, "HandoffRefused"
    error = {"error_type": error_type, "message": message}
    return Outcome(
        Status.FAILED, {**outcome.result, "outcome": kind, "is_error": True, "error": error}
    )


def _describe(value: Any) -> tuple[str, JSON]:
    """What kind of answer a tool gave; LiveKit gives each its own meaning
    (``make_tool_output``)."""
    if isinstance(value, Agent):
        return HANDOFF, {"agent": value.id}
    if isinstance(value, _COLLECTIONS) and any(isinstance(part, Agent) for part in value):
        agent = next(part for part in value if isinstance(part, Agent))
        rest = [part for part in value if not isinstance(part, Agent)]
        return HANDOFF, {"agent": agent.id, "output": plain(rest[0] if len(rest) == 1 else rest)}
    if isinstance(value, _TOOL_RESULT):
        return "tool_result", {
            "output": plain(value.output),
            "reply_required": value.reply_required,
        }
    return "returned", {"output": plain(value)}


def _is_taken(value: Any) -> bool:
    """Whether LiveKit takes a value for the model, as far as that can be known before it does."""
    if isinstance(value, Agent):
        return True
    rest: list[Any] = [value]
    if isinstance(value, _COLLECTIONS):
        agents = [part for part in value if isinstance(part, Agent)]
        if len(agents) > 1:
            return False  # "the tool returned more than one agent"
        rest = [part for part in value if not isinstance(part, Agent)] if agents else rest
    rest = [part.output if isinstance(part, _TOOL_RESULT) else part for part in rest]
    return all(livekit_private.is_tool_output(part) for part in rest)
