"""Which answer belongs to which question.

Interpretation: what was recorded says it (``user_turn_id``); of a speech that has not ended, it is
worked out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from ...core.values import text
from ...stored.span import StoredSpan
from .turns import Node, Turn, kind, thrown_away, unfinished


def pair(nodes: list[Node], inside: dict[str, StoredSpan]) -> tuple[Turn, ...]:
    """Each answer with the question that it answers; what answers nothing stands alone.

    Args:
        nodes: The turns of both sides in the order in which they began.
        inside: The tool that a turn of a dialogue is part of, by the turn's id.
    """
    users = [node for node in nodes if kind(node.span) == "user_turn"]
    answers: dict[str, list[Node]] = defaultdict(list)
    dropped: dict[str, list[Node]] = defaultdict(list)
    alone: list[Node] = []
    for node in nodes:
        if kind(node.span) == "user_turn":
            continue
        user = _question_of(node, users, answers)
        if user is None:
            alone.append(node)
        elif thrown_away(node):
            dropped[user.span.id].append(node)
        else:
            answers[user.span.id].append(node)
    turns = [
        Turn(0, user, tuple(answers[user.span.id]), tuple(dropped[user.span.id])) for user in users
    ] + [Turn(0, None, (node,)) for node in alone]
    turns.sort(key=lambda turn: turn.started_us)
    return tuple(
        replace(
            turn,
            number=number,
            inside=next((inside[n.span.id] for n in turn.nodes if n.span.id in inside), None),
        )
        for number, turn in enumerate(turns, start=1)
    )


def _question_of(node: Node, users: list[Node], answers: dict[str, list[Node]]) -> Node | None:
    """The user's turn that a speech answers. ``answers``: those that are known so far, by turn."""
    span = node.span
    asked = text(span.result.get("user_turn_id"))
    if asked:
        return next((user for user in users if user.span.id == asked), None)
    before = [user for user in users if user.span.started_us <= span.started_us]
    latest = before[-1] if before else None
    if latest is None:
        return None
    if thrown_away(node):
        ended = latest.span.finished_us
        return latest if ended is None or span.started_us <= ended else None
    # A speech says what it answers when it ends. Of one that has not ended, this is known: LiveKit
    # itself began it (user_initiated is the program's doing), or it began with the message.
    by_livekit = span.payload.get("user_initiated") is False
    at_once = latest.span.started_us == span.started_us
    unsaid = unfinished(node) and "user_turn_id" not in span.result
    if unsaid and (by_livekit or at_once) and not answers[latest.span.id]:
        return latest
    return None
