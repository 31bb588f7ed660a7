"""The trace that a test asserts on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..conversation import totals
from ..core.values import mapping
from ..stored.span import StoredSpan
from ..view.model.calltree import CallTree, build
from ..view.model.pickup import pickup_of
from ..view.model.silences import Silence, recorded, silences
from ..view.model.turns import Node, generated_text, kind, spoken_text, user_text
from ..view.model.turns import Turn as TurnTree
from ..view.model.unanswered import Unanswered, unanswered_of
from .collect import Collector
from .results import (
    Assistant,
    Call,
    Failed,
    Latency,
    NamedSequence,
    Pickup,
    ToolCall,
    Tools,
    Turn,
    User,
)
from .snapshot import snapshot
from .tree import outline


class Trace:
    """What the sessions of a test did. Each property reads the spans as they are at that moment."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    @property
    def calls(self) -> NamedSequence[Call]:
        """One for each session, in the order in which they started."""
        return NamedSequence([_call(spans) for spans in self._sessions()], "call")

    @property
    def turns(self) -> NamedSequence[Turn]:
        """The turns of all calls, in order: each a question with its answer."""
        return NamedSequence([turn for call in self.calls for turn in call.turns], "turn")

    @property
    def tools(self) -> Tools:
        """The tool calls of all turns, and those outside any."""
        return Tools([_tool(span) for span in self.spans("livekit:tool")])

    @property
    def errors(self) -> NamedSequence[Failed]:
        """Every error that was recorded, also those that LiveKit recovered from."""
        return NamedSequence([_error(span) for span in self.spans("livekit:error")], "error")

    def spans(self, type: str | None = None) -> tuple[StoredSpan, ...]:
        """The spans, in the order in which they began.

        Args:
            type: ``livekit:llm`` or ``llm``; ``livekit:tool`` is every traced tool, and
                ``livekit:tool:NAME`` one of them; ``None``: all.
        """
        found = self._collector.stored()
        if type is None:
            return tuple(found)
        wanted = type if type.startswith("livekit:") else f"livekit:{type}"
        return tuple(s for s in found if s.type == wanted or s.type.startswith(f"{wanted}:"))

    def snapshot(self) -> list[dict[str, Any]]:
        """The trees as plain data that is the same in every run: see
        :func:`prefactor_agent.testing.snapshot.snapshot`."""
        return snapshot(self._collector.stored())

    def clear(self) -> None:
        """Forget what there is so far, as between the parts of a long test."""
        self._collector.clear()

    def _sessions(self) -> list[list[StoredSpan]]:
        found: dict[str, list[StoredSpan]] = defaultdict(list)
        for span in self._collector.stored():
            found[span.session_id].append(span)
        return list(found.values())

    def __str__(self) -> str:
        """The trees as text."""
        spans = self._collector.stored()
        if not spans:
            return (
                "nothing was traced: is the agent a TracedAgent, and did its session start after "
                "the fixture?"
            )
        return "\n".join(outline(spans))

    def __repr__(self) -> str:
        return f"<Trace>\n{self}\n</Trace>"


@contextmanager
def collecting() -> Iterator[Trace]:
    """Collect the traces of the sessions that start inside, as the fixture does; for other test
    frameworks and for scripts."""
    from ..tracing import tracer

    collector = Collector()
    with tracer.sending_to(collector):
        yield Trace(collector)


def _call(spans: list[StoredSpan]) -> Call:
    tree = build(spans)
    found, left = silences(tree), unanswered_of(tree)
    session = tree.session
    result = session.result if session else {}
    payload = session.payload if session else {}
    return Call(
        agent=str(payload.get("agent_class", "")),
        status=session.status if session else "",
        close_reason=result.get("close_reason"),
        turns=NamedSequence([_turn(turn, found.of(turn), left) for turn in tree.turns], "turn"),
        errors=_errors(spans),
        spans=tuple(spans),
        pickup=_pickup(tree),
        unanswered=left.count if left is not None else None,
    )


def _pickup(call: CallTree) -> Pickup | None:
    found = pickup_of(call)
    if found is None:
        return None
    stages = totals((stage.name, stage.ms) for stage in found.stages)
    return Pickup(found.ms, stages, caller_first=not found.answered)


def _turn(turn: TurnTree, silence: Silence | None, left: Unanswered | None) -> Turn:
    spans = tuple(
        sorted(
            (span for node in turn.nodes for span in node.within()),
            key=lambda span: span.started_us,
        )
    )
    return Turn(
        number=turn.number,
        user=_user(turn.user),
        assistant=_assistant(turn),
        tools=Tools([_tool(span) for span in spans if kind(span) == "tool"]),
        latency=_latency(turn, silence),
        errors=_errors(spans),
        spans=spans,
        unanswered=left is not None and left.has(turn),
    )


def _user(node: Node | None) -> User:
    if node is None:
        return User()
    return User(
        text=user_text(node),
        modality=str(node.span.payload.get("modality", "")),
        language=node.span.result.get("language"),
        span=node.span,
    )


def _assistant(turn: TurnTree) -> Assistant:
    results = [node.span.result for node in turn.answers]
    played = [r["playback_position_s"] for r in results if "playback_position_s" in r]
    return Assistant(
        text=" ".join(filter(None, map(spoken_text, turn.answers))),
        generated=" ".join(filter(None, map(generated_text, turn.answers))),
        interrupted=turn.interrupted,
        interrupted_by=next((r["interrupted_by"] for r in results if "interrupted_by" in r), None),
        playback_s=sum(played) if played else None,
        dropped=tuple(map(generated_text, turn.dropped)),
        spans=tuple(node.span for node in turn.answers),
    )


def _latency(turn: TurnTree, silence: Silence | None) -> Latency | None:
    """The recorded latency; also of an answer that began while the user still spoke."""
    if silence is not None:
        found = recorded(silence.answer)
    else:
        at_once = (latency for answer in turn.answers if (latency := recorded(answer)))
        found = next((latency for latency in at_once if latency.perceived_ms <= 0), None)
    if found is None:
        return None
    stages = totals((stage.name, stage.ms) for stage in found.stages)
    return Latency(found.perceived_ms, stages, found.over_budget)


def _tool(span: StoredSpan) -> ToolCall:
    result = span.result
    duration = span.duration_us
    raised = mapping(result.get("error"))
    error = None
    if raised:
        error = Failed(
            type=str(raised.get("error_type")),
            message=str(raised.get("message")),
            source=span.name,
            span=span,
        )
    return ToolCall(
        name=span.name,
        input=mapping(span.payload.get("inputs")),
        result=mapping(result.get("outputs")).get("output"),
        outcome=str(result.get("outcome", "")),
        error=error,
        duration_ms=duration / 1000 if duration is not None else None,
        span=span,
    )


def _error(span: StoredSpan) -> Failed:
    payload = span.payload
    return Failed(
        type=str(payload.get("error_type", "")),
        message=str(payload.get("message", "")),
        source=str(payload.get("source", "")),
        recoverable=payload.get("recoverable"),
        span=span,
    )


def _errors(spans: Iterable[StoredSpan]) -> NamedSequence[Failed]:
    return NamedSequence([_error(span) for span in spans if kind(span) == "error"], "error")
