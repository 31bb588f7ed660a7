"""A row as it is mapped: its JSON decoded, and reduced to names, times and sizes where content must
not be sent."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json

from ...config import Settings
from ...core.json import JSON
from ...core.span import SpanType
from ...redact import Redactor
from ...schemas.types import BASE_TYPES, TOOL_TYPE
from .dialogue import Line, lines
from .rows import EndedSpan

_WITHOUT_CONTENT = Redactor(Settings(journal=Path(), capture_content=False), lambda: ())
"""Keeps of a payload and a result what ``schemas/`` declares as no content."""


class Reading(NamedTuple):
    """A span, with what is known around it."""

    row: EndedSpan
    type: str
    """The base type: those of single tools are ``livekit:tool``."""
    payload: JSON
    result: JSON
    content: bool
    """What was said, given and returned is sent, too."""
    usage: bool
    """Tokens are sent."""
    rates: JSON
    """The user's own rates, by model or provider/model; empty if there are none."""
    question: JSON
    """Result of the user turn that is answered; empty if none is known."""
    turn: JSON
    """Of a realtime reply, the result of the turn that it is a part of."""
    errors: list[JSON]
    """Payloads of the errors that happened in it."""
    conversation: list[Line]
    """Of the session."""


def read(row: EndedSpan, *, content: bool, usage: bool) -> Reading:
    """Decode a row.

    Raises:
        ValueError: It is damaged: this program did not write it so.
    """
    around = row.around
    started_us = around.session_started_us
    turns = (
        (said.type == SpanType.USER_TURN, said.started_us, _kept(said.result, said.type, content))
        for said in around.dialogue
    )
    return Reading(
        row=row,
        type=row.type if row.type in BASE_TYPES else TOOL_TYPE.name,
        payload=_kept(row.payload, row.type, content, is_result=False),
        result=_kept(row.result, row.type, content),
        content=content,
        usage=usage,
        rates=from_json(around.rates) if around.rates is not None else {},
        question=_kept(around.question, SpanType.USER_TURN, content),
        turn=_kept(around.turn, SpanType.ASSISTANT_TURN, content),
        errors=[_kept(error, SpanType.ERROR, content, is_result=False) for error in around.errors],
        conversation=lines(turns, row.started_us if started_us is None else started_us),
    )


def _kept(text: str | None, type_: str, content: bool, *, is_result: bool = True) -> JSON:
    if text is None:
        return {}
    value = from_json(text)
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in the place of an object")
    if content:
        return value
    kept: JSON = _WITHOUT_CONTENT.value(value, type_, is_result=is_result)
    return kept
