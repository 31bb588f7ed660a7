"""What is recorded of a call of the LLM node."""

from __future__ import annotations

from typing import Any

from livekit.agents import Agent

from ...core.json import JSON, without_none
from ...core.span import Span, SpanType
from ..livekit.messages import MESSAGES_KEPT, Messages
from ..livekit.models import tool_names
from ..spans.stream import LLMOutput
from ..turns.state import Scope
from .fallbacks import Fallbacks
from .node_call import SpanCall, elapsed_ms


class LLMNodeCall(SpanCall):
    """A request of the LLM."""

    type = SpanType.LLM
    source = "llm_node"

    def __init__(
        self,
        scope: Scope,
        fallbacks: Fallbacks,
        agent: Agent,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        messages: Messages,
    ) -> None:
        self._messages = messages
        super().__init__(scope, fallbacks, agent, args, kwargs)

    def _begin(self, agent: Agent) -> Span:
        self.output = LLMOutput(self.started_ns)
        self.stream = self.output
        if self.turn is not None:
            self.turn.outputs.append(self.output)
        model = self._model(agent, "llm")
        chat_ctx = self.argument(0, "chat_ctx")
        tools = self.argument(1, "tools") or []
        settings = self.argument(2, "model_settings")
        items = chat_ctx.items if chat_ctx is not None else []
        kept, total = items[-MESSAGES_KEPT:], len(items)
        messages = self._messages
        named = model.get("model_name")
        inputs: JSON = {
            "tools": tool_names(tools),
            "ai": {"model": {"id": named}} if named else None,
        }
        choice = getattr(settings, "tool_choice", None)
        if isinstance(choice, str | dict):
            inputs["tool_choice"] = choice
        return self._span(
            {
                **model,
                "inputs": lambda: without_none({**messages.describe(kept, total), **inputs}),
            },
            {"output": self.output},
        )

    def value(self, result: Any) -> None:
        if result is not None:
            self.output.add(result)

    def _outcome(self, finished_ns: int) -> JSON:
        output = self.output
        output.absorb()
        text = "".join(output.text)
        first = output.first
        tool_calls = output.tool_calls or None
        finish = None
        if output.count:
            finish = "tool-calls" if tool_calls else "stop"
        return {
            "text": text,
            "tool_calls": tool_calls,
            "usage": output.usage,
            "request_id": output.request_id,
            "metrics": self._measured(output.request_id),
            "time_to_first_token_ms": elapsed_ms(self.started_ns, first),
            "finish_reason": finish,
            "ai": {"finishReason": finish} if finish else None,
            "token_usage": _token_usage(output.usage),
        }

    def _measured(self, request_id: str | None) -> JSON | None:
        """What LiveKit measured of the same call."""
        noted = self.turn.measured.get("llm", []) if self.turn is not None else []
        measured = (as_json() for as_json in noted)
        same = (one["metrics"] for one in measured if one.get("request_id") == request_id)
        return next(same, None) if request_id is not None else None


def _token_usage(usage: JSON | None) -> JSON | None:
    if not usage:
        return None
    keys = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {key: usage[key] for key in keys if key in usage}
