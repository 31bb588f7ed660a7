"""A call as a tree of turns, each a question with its answer.

The terminal, the page and the exports all read a call through it. Pure: takes what
:meth:`prefactor_agent.stored.source.Source.call` returns and keeps nothing. A call can be looked
at while it runs or after its process was killed, so any span may be open, and any may be
missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...core.values import as_int, as_list, mapping
from ...stored.span import StoredSpan
from .pairing import pair
from .turns import TURNS, Node, Turn, kind


@dataclass(frozen=True)
class CallTree:
    """One call. Times are microseconds since the Unix epoch, as in the spans."""

    spans_by_time: tuple[StoredSpan, ...]
    session: StoredSpan | None
    """``None`` if the session's own span is missing."""
    turns: tuple[Turn, ...]
    loose: tuple[Node, ...]
    """Everything outside the turns: an error between turns, a handoff, a span whose parent is
    missing."""
    started_us: int
    """Where the axis of the call has its 0, and its ``moments_us`` are counted from."""
    last_us: int
    """The last known moment: the end, or the last sign of a call that has not ended."""

    def at(self, span: StoredSpan) -> int:
        """When a span began, in microseconds from the beginning of the call."""
        return span.started_us - self.started_us

    def moment(self, span: StoredSpan, name: str) -> int | None:
        """One of a turn's ``moments_us`` on the axis of time; ``None`` if it was not seen."""
        offset = as_int(mapping(span.result.get("moments_us")).get(name))
        return None if offset is None else self.started_us + offset

    def spans(self, *kinds: str) -> list[StoredSpan]:
        nodes = [node for turn in self.turns for node in turn.nodes] + list(self.loose)
        return [span for node in nodes for span in node.spans(*kinds)]

    def turn_of(self, span: StoredSpan) -> Turn | None:
        """The turn that a span belongs to; ``None``: it stands between the turns."""
        return self._turns_of_spans.get(span.id)

    def turn_with(self, id_: str) -> Turn | None:
        """The turn that the span with this id belongs to."""
        return self._turns_of_spans.get(id_)

    @cached_property
    def dialogue_starts(self) -> dict[str, int]:
        """When the dialogue began that a tool holds, by the tool's id."""
        return {
            turn.inside.id: turn.started_us
            for turn in reversed(self.turns)
            if turn.inside is not None
        }

    @cached_property
    def _turns_of_spans(self) -> dict[str, Turn]:
        return {
            span.id: turn for turn in self.turns for node in turn.nodes for span in node.within()
        }


def build(spans: Sequence[StoredSpan]) -> CallTree:
    """The spans of one call, in any order, as a tree of turns."""
    ordered = tuple(sorted(spans, key=_begun))
    session = next((span for span in ordered if _is_session(span)), None)
    below = _children(ordered, session)
    nodes = _nodes(ordered, session, below)
    turns = [node for node in nodes.values() if kind(node.span) in TURNS]
    held = {child.span.id for node in nodes.values() for child in node.children}
    loose = [
        node for node in nodes.values() if node.span.id not in held and kind(node.span) not in TURNS
    ]
    inside = {
        child.span.id: node.span
        for node in nodes.values()
        if kind(node.span) == "tool"
        for child in _turns_below(node)
    }
    return CallTree(
        spans_by_time=ordered,
        session=session,
        turns=pair(sorted(turns, key=lambda made: _begun(made.span)), inside),
        loose=tuple(sorted(loose, key=lambda made: _begun(made.span))),
        started_us=_origin(ordered, session),
        last_us=max((known_until(span) for span in ordered), default=0),
    )


def known_until(span: StoredSpan) -> int:
    """When a span ended or, while it is open, the last moment at which it was seen to run."""
    if span.finished_us is not None:
        return span.finished_us
    streams = mapping(span.result.get("streams")).values()
    passed = [as_list(mapping(stream).get("offset_us")) for stream in streams]
    last = (as_int(offsets[-1]) or 0 for offsets in passed if offsets)
    return span.started_us + max(last, default=0)


def _is_session(span: StoredSpan) -> bool:
    return span.parent_id is None and kind(span) == "session"


def _origin(ordered: Sequence[StoredSpan], session: StoredSpan | None) -> int:
    if session is not None:
        return session.started_us
    for span in ordered:  # a turn's own moments say how long the call had run when it began
        created = as_int(mapping(span.result.get("moments_us")).get("created"))
        if created is not None:
            return span.started_us - created
    return ordered[0].started_us if ordered else 0


def _begun(span: StoredSpan) -> tuple[int, int]:
    # A typed message and its answer begin at the same moment: the question is first.
    return span.started_us, 0 if kind(span) == "user_turn" else 1


def _children(
    ordered: Sequence[StoredSpan], session: StoredSpan | None
) -> dict[str, list[StoredSpan]]:
    known = {span.id for span in ordered}
    top = session.id if session else ""
    below: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in ordered:
        if span is not session:
            parent = span.parent_id
            below[parent if parent in known and parent is not None else top].append(span)
    return below


def _nodes(
    ordered: Sequence[StoredSpan],
    session: StoredSpan | None,
    below: dict[str, list[StoredSpan]],
) -> dict[str, Node]:
    """Every span but the session's own with what is below it, each in one place."""
    seen: set[str] = {session.id} if session else set()
    visited: list[tuple[StoredSpan, list[StoredSpan]]] = []
    # What is only below itself (a damaged file) would be reached from nowhere.
    for root in (*below[session.id if session else ""], *ordered):
        waiting = [root]
        while waiting:
            span = waiting.pop()
            if span.id in seen:
                continue
            seen.add(span.id)
            visited.append((span, below[span.id]))
            waiting += reversed(below[span.id])
    # Without recursion, which a damaged file could drive too deep: children first.
    made: dict[str, Node] = {}
    for span, children in reversed(visited):
        made[span.id] = Node(span, tuple(made[c.id] for c in children if c.id in made))
    return made


def _turns_below(tool: Node) -> Iterator[Node]:
    """The turns of a dialogue that a tool holds, but not those of a tool in such a turn."""
    waiting = list(tool.children)
    while waiting:
        node = waiting.pop()
        if kind(node.span) in TURNS:
            yield node
        elif kind(node.span) != "tool":
            waiting += node.children
