"""What a provider runs on its own side while it answers: web search, file search, a code
interpreter, the provider's own MCP client (``ProviderTool``).

LiveKit has no event of its own for it. What there is (1.8.9):

- The OpenAI plugin's ``responses.LLM``, and what is built on it (xAI's), writes a line to its log
  for each when the response is complete, with the item that the provider sent, in the task of the
  model's call, which has the context of its turn (plugins/openai/responses/llm.py,
  ``_handle_response_completed``, from 1.5.18 on at the latest and not in 1.5.9). The tracer reads
  these records. Their level is INFO, which LiveKit's command line sets: a program that logs
  warnings only has no such spans. Nobody says when such a tool began and ended.
- Its realtime model, and what is built on that, emits all that the provider sends
  (``openai_server_event_received``): an event for each item when it is begun, and when it is done.

Both send items of OpenAI's responses API, whose calls have types that end in ``_call``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ...core.plain import plain
from ...core.span import Span, SpanType, Status
from ..turns.context import current_turn
from ..turns.state import Scope
from ..turns.turn import AssistantTurn
from .tool_span import begin_tool, end_tool

Item = Mapping[str, Any]

_LOGGER = logging.getLogger("livekit.plugins.openai")
_LINE = "provider tool executed"
_ITEM = ("lk.pii.result", "result")
"""What holds the item; the second in 1.6."""

_INPUTS = ("action", "queries", "arguments", "code", "input", "server_label")
"""What the model asked a tool for, in the items that are calls."""
_NO_OUTPUTS = ("id", "call_id", "type", "name", "object", "status", "error", *_INPUTS)
_AGENTS_OWN = "function_call"


def listen() -> None:
    """Read the plugin's log from now on; once is enough."""
    _LOGGER.addFilter(_look)  # the same filter is not added twice


def _look(record: logging.LogRecord) -> bool:
    _logged(record)
    return True


@guarded("provider_tool")
def _logged(record: logging.LogRecord) -> None:
    if record.msg != _LINE:
        return
    item: Any = next((found for key in _ITEM if (found := getattr(record, key, None))), None)
    found = current_turn.with_scope()
    if found is not None and not found[1].state.closed and _is_call(item):
        turn, scope = found
        scope.signals.provider_item.emit(turn, item, now_ns(), True)


def _is_call(item: Any) -> bool:
    # Else a message, a list of tools, a compaction.
    type_ = item.get("type") if isinstance(item, Mapping) else None
    return isinstance(type_, str) and type_.endswith("_call") and type_ != _AGENTS_OWN


class ProviderTools:
    """The spans of what the provider ran in one session."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._running: dict[str, Span] = {}

    def _record_whole(self, turn: AssistantTurn, item: Item, at: int) -> None:
        """Record one that is over when it is first reported: a span without a duration."""
        span = self._begin(turn, item, at)
        end_tool(self._scope.spans, span, *_result(item), at, timed=False)

    def on_item(self, turn: AssistantTurn, item: Any, at: int, done: bool) -> None:
        """A model began an item of its answer ``at``, or was done with it."""
        if not _is_call(item):
            return
        id_ = str(item.get("id"))
        if not done:
            self._running[id_] = self._begin(turn, item, at)
        elif (span := self._running.pop(id_, None)) is not None:
            if (inputs := _inputs(item)) is not None:  # all of them are known now
                self._scope.spans.update(span, inputs=inputs)
            end_tool(self._scope.spans, span, *_result(item), at)
        else:
            self._record_whole(turn, item, at)

    def _begin(self, turn: AssistantTurn, item: Item, at: int) -> Span:
        name = str(item.get("name") or item["type"].removesuffix("_call"))
        asking = turn.open_nodes.get(SpanType.LLM)
        return begin_tool(
            self._scope,
            name,
            turn,
            asking or (turn.span if turn.span.open else None),
            at,
            _inputs(item),
            call_id=item.get("id"),
            run_by="provider",
        )


# What a search finds can be much: the journal's thread makes it plain.


def _inputs(item: Item) -> Callable[[], Any] | None:
    inputs = {key: item[key] for key in _INPUTS if key in item}
    return (lambda: plain(inputs)) if inputs else None


def _result(item: Item) -> tuple[Status, JSON]:
    error = item.get("error")
    failed = bool(error) or item.get("status") in ("failed", "incomplete")
    outputs = {key: value for key, value in item.items() if key not in _NO_OUTPUTS}
    words = _words(error) or str(item.get("status", "failed"))
    status = Status.FAILED if failed else Status.COMPLETE
    return status, without_none(
        {
            "outcome": "error" if failed else "returned",
            "outputs": (lambda: {"output": plain(outputs)}) if outputs else None,
            "is_error": failed,
            "error": {"message": words} if failed else None,
        }
    )


def _words(error: Any) -> str:
    """Of an error that is words, or OpenAI's object with words in it."""
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("type")
    return str(error or "")
