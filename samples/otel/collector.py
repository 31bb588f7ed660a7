"""An OpenTelemetry Collector on loopback, and what has arrived in it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from samples.offline.processes import Program, Server, free_port

from .collector_binary import COLLECTOR

HERE = Path(__file__).parent
TO_FILE = HERE / "collector.yaml"
WITH_QUEUE = HERE / "collector-queue.yaml"


class Arrived(NamedTuple):
    """A span as the file exporter wrote it."""

    trace_id: str
    id: str
    parent_id: str
    """Empty: it is the root."""
    name: str
    kind: int
    status: int
    started_ns: int
    finished_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any]


class Collector(Server):
    """The collector's process, on a port that stays its own when it is started again.

    Args:
        folder: For its log, its queue and the file that it writes.
        config: One of those beside this module.
        backend: URL that it passes spans on to, if it has a queue.

    Raises:
        UnavailableError: There is no program; see `collector_binary`.
    """

    def __init__(self, folder: Path, *, config: Path = TO_FILE, backend: str = "") -> None:
        self.port = free_port()
        self.file = folder / "arrived.jsonl"
        environment = {
            "OTLP_ADDRESS": f"127.0.0.1:{self.port}",
            "OTLP_FILE": str(self.file),
            "OTLP_BACKEND": backend,
            "OTLP_QUEUE": str(folder / "queue"),
        }
        command = [str(COLLECTOR.find()), "--config", str(config)]
        self.program = Program(COLLECTOR.name, command, folder / "otelcol.log", environment)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Arrived]:
        """All spans that have arrived, in order; one that was sent twice is here twice."""
        text = self.file.read_text() if self.file.exists() else ""
        # The last line may be there in part only.
        return [span for line in text.split("\n")[:-1] for span in _spans(json.loads(line))]

    def text(self) -> str:
        """The bytes that it wrote."""
        return self.file.read_text() if self.file.exists() else ""

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _spans(request: Any) -> Iterator[Arrived]:
    for group in request["resourceSpans"]:
        resource = _attributes(group.get("resource", {}))
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                yield Arrived(
                    trace_id=span["traceId"],
                    id=span["spanId"],
                    parent_id=span.get("parentSpanId", ""),
                    name=span["name"],
                    kind=span["kind"],
                    status=span.get("status", {}).get("code", 0),
                    started_ns=int(span["startTimeUnixNano"]),
                    finished_ns=int(span["endTimeUnixNano"]),
                    attributes=_attributes(span),
                    events=[(one["name"], _attributes(one)) for one in span.get("events", [])],
                    resource=resource,
                )


def _attributes(holder: Any) -> dict[str, Any]:
    return {one["key"]: _value(one["value"]) for one in holder.get("attributes", [])}


def _value(value: Any) -> Any:
    ((kind, found),) = value.items()
    if kind == "arrayValue":
        return [_value(one) for one in found.get("values", [])]
    return int(found) if kind == "intValue" else found
