"""Journals with calls that were written by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefactor_agent.journal import schema
from prefactor_agent.stored.span import StoredSpan


def write(path: Path, *calls: Sequence[StoredSpan]) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    schema.migrate(connection)
    connection.execute("BEGIN")  # who looks at it meanwhile sees one change
    for span in (span for call in calls for span in call):
        result = dict(span.result)
        streams = {}
        for name, stream in result.pop("streams", {}).items():
            columns = {k: v for k, v in stream.items() if isinstance(v, list)}
            streams[name] = {k: v for k, v in stream.items() if not isinstance(v, list)}
            if columns:
                connection.execute(
                    "INSERT INTO chunks VALUES (?, ?, ?)", (span.id, name, json.dumps(columns))
                )
        told = None
        if span.finished_us is not None:
            told = json.dumps({**result, "streams": streams} if streams else result)
        connection.execute(
            "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                span.id,
                span.session_id,
                span.parent_id,
                span.type,
                span.name,
                span.status,
                span.started_us,
                span.finished_us,
                json.dumps(span.payload),
                told,
            ),
        )
    connection.execute("COMMIT")
    connection.close()
    return path


def renamed(call: Sequence[StoredSpan], id_: str) -> list[StoredSpan]:
    """The same call under another id."""
    old = call[0].session_id

    def new(name: str | None) -> str | None:
        return None if name is None else id_ if name == old else f"{name}-{id_}"

    def result(span: StoredSpan) -> dict[str, object]:
        asked = span.result.get("user_turn_id")
        return {**span.result, **({"user_turn_id": new(asked)} if asked else {})}

    return [
        replace(
            span,
            id=str(new(span.id)),
            session_id=id_,
            parent_id=new(span.parent_id),
            result=result(span),
        )
        for span in call
    ]


def set_process(path: Path, process: str | None) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE calls SET process = ?", (process,))
    connection.close()
