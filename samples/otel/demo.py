"""The demo's call in an OpenTelemetry Collector: `make otel`.

Builds a collector if there is none, has a whole voice call, offline, and shows the trace as it
arrived. The call goes the way of any traced call: journal, then OTLP over HTTP."""

import asyncio
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

import prefactor_agent
from prefactor_agent.demo.call import run_call
from prefactor_agent.demo.terminal import print_words, quiet
from samples.offline.go_program import UnavailableError

from .collector import Arrived, Collector
from .collector_binary import COLLECTOR

SHOWN = (
    "prefactor.dead_air",
    "prefactor.interrupted",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.response.time_to_first_chunk",
    "prefactor.audio",
    "error.type",
)
WIDTH = 60
"""Characters of what was said in a turn."""


def tree(spans: list[Arrived]) -> Iterator[str]:
    """The trace, a line a span, children below their parents in order of time."""
    below: dict[str, list[Arrived]] = defaultdict(list)
    for span in sorted(spans, key=lambda one: one.started_ns):
        below[span.parent_id].append(span)

    def lines(parent_id: str, depth: int) -> Iterator[str]:
        for span in below[parent_id]:
            yield f"{'  ' * depth}{_line(span)}"
            yield from lines(span.id, depth + 1)

    return lines("", 0)


def _line(span: Arrived) -> str:
    seconds = (span.finished_ns - span.started_ns) / 1e9
    told = {name: span.attributes[name] for name in SHOWN if span.attributes.get(name)}
    facts = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in told.items())
    side = "input.value" if span.name == "user_turn" else "output.value"
    words = str(span.attributes.get(side, "")) if span.parent_id else ""
    said = f"“{words[:WIDTH]}{'…' if len(words) > WIDTH else ''}”" if words else ""
    return "  ".join(filter(None, (span.name, f"{seconds:.2f} s", facts, said)))


def main() -> None:
    quiet()
    console = Console()
    try:
        COLLECTOR.get(console)
    except UnavailableError as error:
        console.print(str(error), highlight=False, soft_wrap=True)
        sys.exit(1)
    folder = Path(tempfile.mkdtemp(prefix="otel-"))
    with Collector(folder) as collector:
        console.print("A call to a kitchen shop, in real time: about half a minute.\n")
        os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector.url}/v1/traces"
        prefactor_agent.configure(otlp=True, flush_timeout=10)
        asyncio.run(run_call(lambda who, what: print_words(console, who, what)))
        prefactor_agent.flush(10)
    spans = collector.spans()
    console.print(f"\n{len(spans)} spans arrived in the collector:\n")
    for line in tree(spans):
        console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")
    console.print(f"\nAs the collector wrote them: {collector.file}", soft_wrap=True)


if __name__ == "__main__":
    main()
