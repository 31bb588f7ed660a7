"""Calls that are delivered to an OpenTelemetry backend in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samples.otel.collector import Arrived, Collector

from deliver.otlp.ended import of_journal
from prefactor_agent.config import Settings
from prefactor_agent.core.span import Status
from prefactor_agent.deliver.otlp.mapping import to_span
from prefactor_agent.journal.ended import EndedSpans
from prefactor_agent.pipeline import Pipeline
from prefactor_agent.tracing import tracer
from support.memory_sink import MemorySink
from support.otlp_receiver import plain
from support.waiting import PATIENCE


class Exporting:
    """The pipeline of a process whose calls go to one backend; every session's, from now on.

    Args:
        url: Of the backend.
    """

    def __init__(self, journal: Path, url: str, patch: pytest.MonkeyPatch, **changes: Any) -> None:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            patch.delenv(name)
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        patch.setenv("OTEL_SERVICE_NAME", "kitchen-shop")
        values: dict[str, Any] = {"journal": journal, "otlp": True, "flush_interval": 0.02}
        self.settings = Settings(**{**values, **changes})
        self.pipeline = Pipeline(self.settings, lambda session_id, reason: None)
        tracer.send_to(self.pipeline)

    def keep(self, sink: MemorySink) -> None:
        """Take what was traced elsewhere as this process's own: the call begins, then each span
        is put as it ended, what lies in it first."""
        self.pipeline.begin()
        root = next(span for span in sink.spans if span.parent_id is None)
        self.pipeline.put(replace(root, status=Status.ACTIVE, finished_ns=None, result=None))
        inner_first = sink.spans[::-1]
        for span in sorted(inner_first, key=lambda one: one.finished_ns or 0):
            self.pipeline.put(span)

    async def delivered(self) -> None:
        end = time.monotonic() + 2 * PATIENCE
        while not await asyncio.to_thread(self.pipeline.flush, 1.0):
            assert time.monotonic() < end, "it is not delivered"

    def stop(self) -> None:
        self.pipeline.stop(PATIENCE)


def all_arrived(collector: Collector, *journals: Path, content: bool = True) -> list[Arrived]:
    """Every span that ended is in the collector's file as the mapping makes it of the whole
    journal, with its parent, and nothing is left to do. A span can be there twice, but the same.

    Returns:
        The spans, each once.
    """
    expected: dict[str, Arrived] = {}
    for journal in journals:
        with contextlib.closing(EndedSpans(journal)) as todo:
            left = todo.backlog()
            assert (left["spans"], left["calls"]) == (0, 0), f"not delivered: {left}"
        expected |= {span.id: span for span in _mapped(journal, content)}
    there: dict[str, Arrived] = {}
    for span in _settled(collector, len(expected)):
        span = span._replace(resource={})
        assert there.setdefault(span.id, span) == span, "the same each time"
    assert there.keys() == expected.keys()
    for id_, span in there.items():
        assert span == expected[id_], _difference(span, expected[id_])
        assert not span.parent_id or span.parent_id in there, f"{span.name} has no parent"
    return list(there.values())


def _difference(there: Arrived, wanted: Arrived) -> str:
    told = zip(there._fields, there, wanted, strict=True)
    return f"{there.name}: {[(name, one, other) for name, one, other in told if one != other]}"


def _settled(collector: Collector, wanted: int) -> list[Arrived]:
    """What has arrived, once there is so much: it is written a little after it was taken."""
    end = time.monotonic() + PATIENCE
    while len({span.id for span in collector.spans()}) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    return collector.spans()


def _mapped(journal: Path, content: bool) -> Iterator[Arrived]:
    for row in of_journal(journal):
        if (span := to_span(row, content=content)) is None:
            continue
        yield Arrived(
            trace_id=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            kind=span.kind,
            status=span.status.code,
            started_ns=span.start_time_unix_nano,
            finished_ns=span.end_time_unix_nano,
            attributes={one.key: plain(one.value) for one in span.attributes},
            events=[
                (one.name, {each.key: plain(each.value) for each in one.attributes})
                for one in span.events
            ],
            resource={},
        )


def required(name: str, find: Callable[[], Path]) -> Path:
    """A program that tests need; without it they are skipped, or fail where an environment variable
    is ``required``."""
    try:
        return find()
    except Exception as error:
        if os.environ.get(name) == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))
