"""What the server knows, and its log: one JSON record a line, read again at the next start.

A request's records go out in one write before its answer does, so that a server killed at any
moment never answered for what it does not remember. A torn last line is a request nobody was
answered for: it is dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from . import rules
from .errors import Json
from .schemas import Schema, compiled


@dataclass
class SpanType:
    title: str | None
    params: Schema | None
    result: Schema | None
    template: str | None = None


@dataclass
class SchemaVersion:
    """The span types and quality schemas one instance may use, as they were registered."""

    source: Json
    types: dict[str, SpanType]
    quality: dict[str, Schema]

    @classmethod
    def compile(cls, source: Json) -> SchemaVersion:
        types: dict[str, SpanType] = {}
        for name, schema in (source.get("span_schemas") or {}).items():
            types[name] = SpanType(None, compiled(schema, f"span_schemas.{name}"), None)
        for name, schema in (source.get("span_result_schemas") or {}).items():
            kind = types.setdefault(name, SpanType(None, None, None))
            kind.result = compiled(schema, f"span_result_schemas.{name}")
        for entry in source.get("span_type_schemas") or ():
            name = entry["name"]
            where = f"span_type_schemas.{name}"
            result = entry.get("result_schema")
            types[name] = SpanType(
                entry.get("title") or name,
                compiled(entry["params_schema"], f"{where}.params_schema"),
                None if result is None else compiled(result, f"{where}.result_schema"),
                entry.get("template"),
            )
        quality = {
            entry["name"]: compiled(entry["schema"], f"quality_schemas.{entry['name']}.schema")
            for entry in source.get("quality_schemas") or ()
        }
        return cls(source, types, quality)


@dataclass
class State:
    path: Path | None = None
    # Every answer is a dict that is replaced, never changed: the first answer to a key stays.
    instances: dict[str, Json] = field(default_factory=dict)
    instance_schema: dict[str, str] = field(default_factory=dict)
    registrations: dict[str, Json] = field(default_factory=dict)
    schema_versions: dict[str, SchemaVersion] = field(default_factory=dict)
    agent_versions: dict[str, Json] = field(default_factory=dict)
    spans: dict[str, Json] = field(default_factory=dict)
    spans_of: dict[str, list[str]] = field(default_factory=dict)
    status_counts: dict[str, Counter[str]] = field(default_factory=dict)
    answers: dict[str, tuple[str, Json]] = field(default_factory=dict)
    creates: Counter[str] = field(default_factory=Counter)
    finishes: Counter[str] = field(default_factory=Counter)
    quality: list[Json] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    violations: list[Json] = field(default_factory=list)
    _pending: list[bytes] = field(default_factory=list)
    _file: IO[bytes] | None = None

    def open(self) -> None:
        if self.path is None:
            return
        if self.path.exists():
            whole, _, torn = self.path.read_bytes().rpartition(b"\n")
            for line in whole.splitlines():
                self._apply(rules.parse_body(line))
            if torn:
                with self.path.open("r+b") as file:
                    file.truncate(len(whole) + 1 if whole else 0)
        self._file = self.path.open("ab")

    def put(self, record: Json) -> None:
        """Takes one change, and keeps it for the next `flush`."""
        self._apply(record)
        if self._file is not None:
            self._pending.append(rules.to_text(record))

    def flush(self) -> None:
        if self._file is not None and self._pending:
            self._pending.append(b"")
            self._file.write(b"\n".join(self._pending))
            self._file.flush()
        self._pending.clear()

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()

    def reset(self) -> None:
        """Forgets everything, the log too."""
        if self._file is not None:
            self._file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        vars(self).update(vars(State(self.path)))
        self.open()

    def _apply(self, record: Json) -> None:
        kind = record["t"]
        if kind == "span":
            self._apply_span(record["v"])
        elif kind == "instance":
            self.instances[record["v"]["id"]] = record["v"]
        elif kind == "attempt":
            (self.creates if record["of"] == "create" else self.finishes)[record["id"]] += 1
        elif kind == "schema":
            self.schema_versions[record["id"]] = SchemaVersion.compile(record["v"])
        elif kind == "version":
            self.agent_versions[record["id"]] = record["v"]
        elif kind == "registered":
            self.instance_schema[record["id"]] = record["schema"]
            self.registrations[record["id"]] = record["v"]
        elif kind == "quality":
            self.quality.append(record["v"])
        elif kind == "request":
            self.requests.append(record["v"])
        elif kind == "violation":
            self.violations.append(record["v"])
        if "key" in record:
            self.answers[record["key"]] = (record["print"], record["v"])

    def _apply_span(self, span: Json) -> None:
        instance, ident = span["agent_instance_id"], span["id"]
        counts = self.status_counts.setdefault(instance, Counter())
        before = self.spans.get(ident)
        if before is None:
            self.spans_of.setdefault(instance, []).append(ident)
        else:
            counts[before["status"]] -= 1
        counts[span["status"]] += 1
        self.spans[ident] = span
