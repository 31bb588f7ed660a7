"""A call as people see it: turns, each a question with its answer, over the tree of spans.

Pure: takes what :meth:`prefactor_agent.journal.reader.Journal.call` returns and keeps nothing. A
call can be looked at while it runs or after its process was killed, so any span may be open, and
any may be missing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..journal.reader import StoredSpan

_TURNS = frozenset({"user_turn", "assistant_turn"})


_MASKED = re.compile(r"<\d+ characters>")


def mapping(value: Any) -> dict[str, Any]:
    """An object inside a payload. What was redacted or cut to size can be anything instead."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def kind(span: StoredSpan) -> str:
    """``tool`` for ``livekit:tool:look_up``, ``llm`` for ``livekit:llm``."""
    return span.type.removeprefix("livekit:").split(":", 1)[0]


@dataclass(frozen=True, slots=True)
class Node:
    """A span with what is below it, in the order in which it began."""

    span: StoredSpan
    children: tuple[Node, ...] = ()

    def within(self) -> Iterator[StoredSpan]:
        """This span and all below it, save the turns of a dialogue nested in a tool."""
        yield self.span
        for child in self.children:
            if kind(child.span) not in _TURNS:
                yield from child.within()

    def spans(self, *kinds: str) -> list[StoredSpan]:
        return [span for span in self.within() if kind(span) in kinds]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user said (or typed) and what the agent answered; either may be missing."""

    number: int
    """1, 2, 3 … in the order of time."""
    user: Node | None
    answers: tuple[Node, ...]
    dropped: tuple[Node, ...] = ()
    """Answers that were begun before the user had finished, and thrown away."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (*((self.user,) if self.user else ()), *self.answers, *self.dropped)

    @property
    def started_us(self) -> int:
        return min(node.span.started_us for node in self.nodes)

    @property
    def interrupted(self) -> bool:
        return any(map(cut_off, self.answers))

    def spans(self, *kinds: str) -> list[StoredSpan]:
        found = [span for node in self.nodes for span in node.spans(*kinds)]
        return sorted(found, key=lambda span: span.started_us)


@dataclass(frozen=True, slots=True)
class CallTree:
    """One call. Times are microseconds since the Unix epoch, as in the spans."""

    session: StoredSpan | None
    """``None`` if the session's own span is missing."""
    turns: tuple[Turn, ...]
    loose: tuple[Node, ...]
    """What belongs to no turn: an error between turns, a handoff, a span whose parent is
    missing."""
    started_us: int
    last_us: int
    """The last moment that is known of: the end, or the last sign of a call that has not ended."""

    def moment(self, span: StoredSpan, name: str) -> int | None:
        """One of a turn's ``moments_us`` on the axis of time; ``None`` if it was not seen."""
        offset = mapping(span.result.get("moments_us")).get(name)
        if not isinstance(offset, int) or self.session is None:
            return None
        return self.session.started_us + offset

    def spans(self, *kinds: str) -> list[StoredSpan]:
        nodes = [node for turn in self.turns for node in turn.nodes] + list(self.loose)
        return [span for node in nodes for span in node.spans(*kinds)]


def build(spans: Sequence[StoredSpan]) -> CallTree:
    """The spans of one call, in any order, as a tree of turns."""
    session = next((span for span in spans if span.parent_id is None), None)
    below = _children(spans, session)
    turns: list[Node] = []
    loose: list[Node] = []
    seen: set[str] = {session.id} if session else set()

    def node(span: StoredSpan) -> Node:
        seen.add(span.id)
        children = [child for child in below[span.id] if child.id not in seen]
        made = Node(span, tuple(node(child) for child in children))
        if kind(span) in _TURNS:
            turns.append(made)
        return made

    top = below[session.id if session else ""]
    # What is only below itself (a damaged file) would be reached from nowhere.
    for span in (*top, *sorted(spans, key=_begun)):
        if span.id not in seen:
            made = node(span)
            if kind(span) not in _TURNS:
                loose.append(made)
    return CallTree(
        session=session,
        turns=_pair(sorted(turns, key=lambda made: _begun(made.span))),
        loose=tuple(sorted(loose, key=lambda made: _begun(made.span))),
        started_us=min((span.started_us for span in spans), default=0),
        last_us=max((known_until(span) for span in spans), default=0),
    )


def known_until(span: StoredSpan) -> int:
    """When a span ended or, while it is open, the last moment at which it was seen to run."""
    if span.finished_us is not None:
        return span.finished_us
    streams: dict[str, Any] = span.result.get("streams", {})
    offsets = [stream["offset_us"][-1] for stream in streams.values() if stream.get("offset_us")]
    return span.started_us + max(offsets, default=0)


def generated_text(node: Node) -> str:
    """What was generated for an answer, also of one that has not ended."""
    told = node.span.result.get("generated_text")
    if isinstance(told, str):
        return told
    return _streamed(node.spans("llm"), "output") or _streamed(node.spans("transcription"), "text")


def spoken_text(node: Node) -> str:
    return str(node.span.result.get("spoken_text") or "")


def cut_off(node: Node) -> bool:
    """Whether an answer was interrupted before all of it was heard: LiveKit also calls a speech
    interrupted that had been played to its end when the session closed."""
    result = node.span.result
    if not result.get("interrupted") or result.get("preemptive") == "dropped":
        return False
    segments = mappings(result.get("segments"))
    heard_out = segments and not any(segment.get("interrupted") for segment in segments)
    return not heard_out or bool(unspoken_text(node))


def unspoken_text(node: Node) -> str:
    """The rest of an interrupted answer, which the caller never heard."""
    result = node.span.result
    if not result.get("interrupted") and node.span.status != "cancelled":
        return ""
    # The two differ in their spaces, where an answer had several parts.
    generated, spoken = generated_text(node), "".join(spoken_text(node).split())
    if _MASKED.fullmatch(generated):
        return ""  # the words are not in the trace
    position = 0
    for character in spoken:
        while position < len(generated) and generated[position].isspace():
            position += 1
        if position >= len(generated) or generated[position] != character:
            break
        position += 1
    return generated[position:].strip()


def user_text(node: Node) -> str:
    """What the user was heard to say, also while they speak."""
    told = node.span.result.get("transcript")
    if isinstance(told, str):
        return told
    finals = [
        str(event.get("text", ""))
        for span in node.spans("stt")
        for event in mappings(span.stream("events").get("event"))
        if event.get("type") == "final_transcript"
    ]
    return " ".join(finals)


def _streamed(spans: Iterable[StoredSpan], stream: str) -> str:
    return "".join(str(part) for span in spans for part in span.stream(stream).get("text", []))


def _begun(span: StoredSpan) -> tuple[int, int]:
    # A typed message and its answer begin at the same moment: the question is first.
    return span.started_us, 0 if kind(span) == "user_turn" else 1


def _children(
    spans: Sequence[StoredSpan], session: StoredSpan | None
) -> dict[str, list[StoredSpan]]:
    known = {span.id for span in spans}
    top = session.id if session else ""
    below: dict[str, list[StoredSpan]] = defaultdict(list)
    for span in sorted(spans, key=_begun):
        if span is not session:
            below[span.parent_id if span.parent_id in known else top or ""].append(span)
    return below


def _pair(nodes: list[Node]) -> tuple[Turn, ...]:
    """Each answer with the turn that it answers; what answers nothing stands alone."""
    users = [node for node in nodes if kind(node.span) == "user_turn"]
    answers: dict[str, list[Node]] = defaultdict(list)
    dropped: dict[str, list[Node]] = defaultdict(list)
    alone: list[Node] = []
    for node in nodes:
        if kind(node.span) == "user_turn":
            continue
        thrown_away = node.span.result.get("preemptive") == "dropped"
        user = _asked_in(node, users, thrown_away, answers)
        if user is None:
            alone.append(node)
        elif thrown_away:
            dropped[user.span.id].append(node)
        else:
            answers[user.span.id].append(node)
    turns = [
        Turn(0, user, tuple(answers[user.span.id]), tuple(dropped[user.span.id])) for user in users
    ] + [Turn(0, None, (node,)) for node in alone]
    turns.sort(key=lambda turn: turn.started_us)
    return tuple(
        Turn(number, turn.user, turn.answers, turn.dropped)
        for number, turn in enumerate(turns, start=1)
    )


def _asked_in(
    node: Node, users: list[Node], thrown_away: bool, answers: dict[str, list[Node]]
) -> Node | None:
    span = node.span
    asked = span.result.get("user_turn_id")
    if asked is not None:
        return next((user for user in users if user.span.id == asked), None)
    before = [user for user in users if user.span.started_us <= span.started_us]
    latest = before[-1] if before else None
    if latest is None:
        return None
    if thrown_away:
        ended = latest.span.finished_us
        return latest if ended is None or span.started_us <= ended else None
    # An answer says what it answers when it ends. Of one that has not ended, this can be told:
    # LiveKit itself began it (user_initiated is the program's doing), or it began with the message.
    unsaid = "user_turn_id" not in span.result and (
        span.status == "active" or span.result.get("lost_end")
    )
    by_livekit = span.payload.get("user_initiated") is False
    at_once = latest.span.started_us == span.started_us
    if unsaid and (by_livekit or at_once) and not answers[latest.span.id]:
        return latest
    return None
