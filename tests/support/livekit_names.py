"""The names of all that the installed LiveKit tells: the events of its classes, the parts of a job,
the attributes and instruments of its telemetry, the fields of its metrics."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import livekit.agents
from livekit import rtc
from livekit.agents import JobContext, metrics
from livekit.agents.job import RunningJobInfo
from livekit.agents.llm import chat_context
from livekit.agents.telemetry import trace_types

_NOT_IMPORTED = ("__main__", ".cli", "jupyter")
"""Modules that run something, or want what is not installed."""


def events() -> dict[str, set[str]]:
    """By the name of each public class of LiveKit's that emits events, the names of these."""
    for module in pkgutil.walk_packages(livekit.agents.__path__, "livekit.agents."):
        if not any(part in module.name for part in _NOT_IMPORTED):
            importlib.import_module(module.name)
    found: dict[str, set[str]] = {}
    for one in _below(rtc.EventEmitter):
        bases = vars(one).get("__orig_bases__", ())
        names = {name for base in bases for name in _literals(base)}
        ours = one.__module__.startswith("livekit.")
        if names and ours and not one.__name__.startswith("_"):
            found.setdefault(one.__name__, set()).update(names)
    return found


def job() -> set[str]:
    """What a job's context offers, and what is noted of the job."""
    fields = {field.name for field in dataclasses.fields(RunningJobInfo)}
    return {name for name in vars(JobContext) if not name.startswith("_")} | fields


def attributes() -> set[str]:
    """The attributes, events and metrics of LiveKit's spans, by the names that they are sent
    under."""
    return {
        value
        for name, value in vars(trace_types).items()
        if name.startswith(("ATTR_", "EVENT_", "METRIC_")) and isinstance(value, str)
    }


def instruments() -> set[str]:
    """The instruments of LiveKit's own metrics (OpenTelemetry and Prometheus)."""
    folder = Path(trace_types.__file__).parent
    texts = [
        (folder / name).read_text()
        for name in ("metrics.py", "otel_metrics.py")
        if (folder / name).exists()
    ]
    return {name for text in texts for name in re.findall(r'"(lk[._]agents[\w.]+)"', text)}


def measured() -> set[str]:
    """The fields of LiveKit's measurements, and of those of a message."""
    found = {
        f"{name}.{field}"
        for name, one in vars(metrics.base).items()
        if isinstance(one, type) and name.endswith("Metrics") and not name.startswith("_")
        for field in getattr(one, "model_fields", ())
    }
    report = getattr(chat_context, "MetricsReport", None)
    return found | {f"MetricsReport.{name}" for name in typing.get_type_hints(report or object)}


def _below(one: type) -> Iterator[type]:
    direct: list[type] = type.__subclasses__(one)
    for below in direct:
        yield below
        yield from _below(below)


def _literals(one: object) -> Iterator[str]:
    if typing.get_origin(one) is typing.Literal:
        yield from typing.get_args(one)
    elif not isinstance(one, types.ModuleType):
        for part in typing.get_args(one):
            yield from _literals(part)
