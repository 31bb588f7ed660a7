"""What a tool reports while it runs (``RunContext.update``, from 1.6 on). The first report answers
the model's call, and the tool goes on in the background; the later ones, and its result, reach the
model as answers to calls of their own, and a speech is made for them (voice/tool_executor.py,
``_enqueue_reply`` and ``_deliver_reply``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livekit.agents import llm

from ...core.json import JSON, without_none

KEPT = 100
"""Reports of one call that its span keeps; the others are counted."""


class Updates:
    """The reports of one tool call."""

    def __init__(self) -> None:
        self._kept: dict[str, JSON] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, update: Any, at_us: int) -> None:
        """The tool reported progress, ``at_us`` after the session's start."""
        self._count += 1
        if len(self._kept) < KEPT:
            self._kept[update.id] = {
                "id": update.id,
                "at_us": at_us,
                "text": update.message,
                "silent": update.silent,
                "inline": True if update.id == update.call_id else None,
            }

    def ids(self) -> list[str]:
        """LiveKit's ids of the reports."""
        return list(self._kept)

    def note_reply(self, id_: str, turn_id: str) -> None:
        """A speech is made for a report."""
        if (kept := self._kept.get(id_)) is not None:
            kept["reply_id"] = turn_id

    def note_answer(self, output: llm.FunctionCallOutput | None) -> None:
        """The model got its answer to the call itself: the first report, if LiveKit took that."""
        first = next(iter(self._kept.values()), None)
        if first is not None and output is not None and output.is_error:
            first["is_error"] = True

    def as_json(self, answers: Mapping[str, llm.FunctionCallOutput]) -> JSON:
        """The reports for the result of the call.

        Args:
            answers: What the model got, by the ids of the reports.
        """
        reports = []
        for id_, kept in self._kept.items():
            refused = id_ in answers and answers[id_].is_error
            reports.append(without_none({**kept, **({"is_error": True} if refused else {})}))
        omitted = self._count - len(self._kept)
        return {"updates": reports, **({"updates_omitted": omitted} if omitted else {})}
