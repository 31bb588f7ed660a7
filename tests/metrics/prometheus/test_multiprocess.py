"""prometheus_client's multi-process mode: the job processes count for themselves, and the worker
serves the sum."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from metrics.prometheus.test_exposition import samples, value

JOB = """
    import os, signal, sys, time
    from pathlib import Path
    from prefactor_agent.config import Settings
    from prefactor_agent.core.span import Status
    from prefactor_agent.pipeline import Pipeline
    from prefactor_agent.record.spans.tree import SpanTree

    pipeline = Pipeline(Settings(journal=Path(sys.argv[1])), lambda *_: None)
    pipeline.begin()
    call = SpanTree(pipeline)
    call.announce({"agent_class": "Shop"})
    turn = call.begin("livekit:assistant_turn", "assistant_turn", None, {})
    call.end(turn, Status.COMPLETE, {"latency": {"perceived_ms": float(sys.argv[2])}})
    pipeline.flush(30)
    if len(sys.argv) > 3:
        os.kill(os.getpid(), signal.SIGKILL)
    call.end(call.root, Status.COMPLETE, {})
    pipeline.flush(30)
"""
WORKER = """
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess
    registry = CollectorRegistry(auto_describe=True)
    multiprocess.MultiProcessCollector(registry)
    print(generate_latest(registry).decode())
"""


def python(program: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_worker_sums_what_its_job_processes_count(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    journal = tmp_path / "journal.db"
    assert python(JOB, journal, 1000, folder=folder).returncode == 0
    assert python(JOB, journal, 500, "killed", folder=folder).returncode == -signal.SIGKILL
    done = python(WORKER, folder=folder)
    assert done.returncode == 0, done.stderr
    found = samples(done.stdout)
    assert value(found, "prefactor_turns_total", agent="Shop", role="agent") == 2
    assert value(found, "prefactor_calls_total", agent="Shop", outcome="complete") == 1
    assert value(found, "prefactor_dead_air_seconds_count", agent="Shop") == 2
    assert value(found, "prefactor_dead_air_seconds_sum", agent="Shop") == 1.5
    assert value(found, "prefactor_dead_air_seconds_bucket", agent="Shop", le="0.5") == 1
