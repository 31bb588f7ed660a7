"""The program `otelcol`: an OpenTelemetry Collector, built from `collector/` into the project's own
folder `.otelcol`.

`make otelcol`. Debian has none, and the releases are no registry's; from Go's module proxy it takes
two to three minutes on two cores."""

from pathlib import Path

from samples.offline.go_program import PROJECT, GoProgram

COLLECTOR = GoProgram(
    title="OpenTelemetry Collector",
    name="otelcol",
    version="0.161.0",
    target="otelcol",
    folder=PROJECT / ".otelcol",
    package=".",
    built="otelcol",
    source=Path(__file__).with_name("collector"),
)

if __name__ == "__main__":
    COLLECTOR.main()
