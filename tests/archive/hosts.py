"""Journals as several hosts have them, and what the commands say of calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from prefactor_agent.archive.writer import push_all
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.digest import digest_text
from view.calls import over_budget_call, searching_call, spoken_call, task_call, unanswered_call
from view.commandline import run
from view.costs import LLM, STT, TTS
from view.journals import renamed, write
from view.tool_calls import background_call, refused_call

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_HOUR_US = 3_600_000_000
MAKERS: Sequence[Callable[[], list[StoredSpan]]] = (
    spoken_call,
    over_budget_call,
    unanswered_call,
    task_call,
    searching_call,
    background_call,
    refused_call,
)


def stamped(us: int, number: int) -> str:
    """An id that was made at a moment."""
    stamp = "".join(_ALPHABET[us // 1000 >> 5 * place & 31] for place in reversed(range(10)))
    return f"{stamp}{number:022d}"


def moved(call: list[StoredSpan], hours: int, number: int, agent: str) -> list[StoredSpan]:
    """The same call at another time, of another agent, under an id of its own; of every third
    nothing is told of what it used."""
    root = call[0]
    if number % 3 and root.finished_us is not None:
        llm = {**LLM, "input_tokens": 1000 + 100 * number}
        used = {"model_usage": [llm, STT, {**TTS, "model": "sonic-none"}][: number % 3 + 1]}
        payload = {**root.payload, "rates": {"nova-3": {"minute": 0.006}}}
        call = [replace(root, payload=payload, result={**root.result, "usage": used}), *call[1:]]
    shift = hours * _HOUR_US

    def at(us: int | None) -> int | None:
        return None if us is None else us + shift

    shifted = [
        replace(
            span,
            started_us=span.started_us + shift,
            finished_us=at(span.finished_us),
            payload={**span.payload, "agent_class": agent, "agent_version": f"v{number % 2}"}
            if span.parent_id is None
            else span.payload,
        )
        for span in call
    ]
    return renamed(shifted, stamped(shifted[0].started_us, number))


def calls(agent: str, first: int, count: int) -> list[list[StoredSpan]]:
    """Different calls over some days."""
    return [
        moved(MAKERS[number % len(MAKERS)](), 7 * number - 240, number, agent)
        for number in range(first, first + count)
    ]


def journal(path: Path, *of: list[StoredSpan]) -> Path:
    """A journal of processes that are gone."""
    write(path, *of)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE calls SET process = 'elsewhere|1|1'")
    return path


def push(path: Path, address: str) -> int:
    return push_all(path, address, digest_text).calls


def say(*command: str) -> str:
    """What a command prints."""
    done = run(*command, COLUMNS="120")
    return done.stdout + done.stderr


def archived(folder: Path) -> str:
    """The last call of an archive, as far as it is there."""
    return say("export", "--from", str(folder)) if list(folder.rglob("*.parquet")) else ""
