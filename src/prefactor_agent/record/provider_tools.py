"""What a provider runs on its own side while it answers: web search, file search, a code
interpreter, the provider's own MCP client (``ProviderTool``).

LiveKit has no event for it. The OpenAI plugin's ``responses.LLM``, and what is built on it (xAI's),
writes a line to its log for each when the response is complete, with the item that the provider
sent, in the task of the model's call, which has the context of its turn
(plugins/openai/responses/llm.py, ``_handle_response_completed``, from 1.5.18 on at the latest and
not in 1.5.9). The tracer reads these records. Their level is INFO, which LiveKit's command line
sets: a program that logs warnings only has no such spans. When such a tool began and ended nobody
tells."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from .call import PREFACTOR_STATUS
from .clock import now_ns
from .context import current_turn
from .guard import guarded
from .plain import plain
from .span import SpanType, Status
from .turns import AssistantTurn, without_none

JSON = dict[str, Any]

_LOGGER = logging.getLogger("livekit.plugins.openai")
_LINE = "provider tool executed"
_ITEM = ("lk.pii.result", "result")
"""What holds the item; the second in 1.6."""

_INPUTS = ("action", "queries", "arguments", "code", "input", "server_label")
"""What the model asked a tool for, in the items of OpenAI's responses API that are calls."""
_NO_OUTPUTS = ("id", "call_id", "type", "name", "status", "error", *_INPUTS)


def listen() -> None:
    """Read these records from now on; once is enough."""
    _LOGGER.addFilter(_look)  # the same filter is not added twice


def _look(record: logging.LogRecord) -> bool:
    if record.msg == _LINE:
        _told(next((found for key in _ITEM if (found := getattr(record, key, None))), None))
    return True


@guarded("provider_tool")
def _told(item: Any) -> None:
    turn = current_turn.get()
    if turn is None or turn.trace.closed or not isinstance(item, Mapping):
        return
    if str(item.get("type")).endswith("_call"):  # else a list of tools, a compaction
        _record(turn, item)


def _record(turn: AssistantTurn, item: Mapping[str, Any]) -> None:
    call, at = turn.trace.call, now_ns()
    name = str(item.get("name") or item["type"].removesuffix("_call"))
    type_ = turn.trace.tool_type(name, SpanType.TOOL.value)
    asking = turn.open_nodes.get(SpanType.LLM)
    parent = asking or (turn.span if turn.span.open else None)
    who = without_none({"tool_name": name, "call_id": item.get("id"), "run_by": "provider"})
    span = call.begin(
        type_,
        name,
        parent,
        without_none(
            {
                "name": name,
                "type": type_,
                **who,
                "turn_index": turn.index,
                "inputs": plain({key: item[key] for key in _INPUTS if key in item}) or None,
                "created_at": round(time.time(), 6),
                "metadata": {},
            }
        ),
        at=at,
    )
    status, result = _result(item)
    told = call.begin(
        SpanType.TOOL_RESULT,
        name,
        span,
        {"name": name, "type": SpanType.TOOL_RESULT.value, **who},
        at=at,
    )
    call.end(told, status, result, at=at)
    call.end(span, status, result, at=at)


def _result(item: Mapping[str, Any]) -> tuple[Status, JSON]:
    """How it ended: without a duration, which is not told."""
    error = item.get("error")
    failed = bool(error) or item.get("status") in ("failed", "incomplete")
    outputs = {key: value for key, value in item.items() if key not in _NO_OUTPUTS}
    words = _words(error) or str(item.get("status", "failed"))
    status = Status.FAILED if failed else Status.COMPLETE
    return status, without_none(
        {
            "status": PREFACTOR_STATUS[status],
            "outcome": "error" if failed else "returned",
            "outputs": {"output": plain(outputs)} if outputs else None,
            "is_error": failed,
            "error": {"message": words} if failed else None,
        }
    )


def _words(error: Any) -> str:
    """Of an error that is words, or OpenAI's object with words in it."""
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("type")
    return str(error or "")
