"""What a call needs is imported before there is one: with the agent's file, or once for all
processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.otlp_receiver import OtlpReceiver
from support.prefactor_server import PrefactorServer
from support.server_fixtures import running_server as running_server
from support.server_fixtures import server as server

DIGEST = "prefactor_agent.view.model.digesting"
PREFACTOR = "prefactor_agent.deliver.prefactor.call_delivery"
OTLP = "prefactor_agent.deliver.otlp.sender"
CLIENT = "prefactor_http"

AGENT = """
from prefactor_agent import TracedAgent


class Clerk(TracedAgent):
    pass
"""
FORKED = """
import multiprocessing, sys


def look(answer):
    import threading

    answer.put([sorted(sys.modules), [thread.name for thread in threading.enumerate()]])


if __name__ == "__main__":
    # As LiveKit does (livekit/agents/worker.py), but for its own modules.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["prefactor_agent.preload"])
    answer = context.Queue()
    process = context.Process(target=look, args=(answer,))
    process.start()
    modules, threads = answer.get(timeout=120)
    process.join()
"""
PLAIN = "from prefactor_agent import PrefactorLiveKitSession"
CALL = """
import json, sys
from deliver.calls import whole_call
from prefactor_agent.config import settings
from prefactor_agent.pipeline import Pipeline

ready = set(sys.modules)
pipeline = Pipeline(settings(), lambda session_id, reason: None)
pipeline.begin()
whole_call(pipeline)
assert pipeline.flush(120)
pipeline.stop()
added = set(sys.modules) - ready
ours = {name for name in added if name.partition(".")[0] not in sys.stdlib_module_names}
print(json.dumps({"modules": sorted(ours)}))
"""
REPORT = """
import json, sys, threading
print(json.dumps({
    "modules": sorted(sys.modules), "threads": [one.name for one in threading.enumerate()]
}))
"""


def _run(tmp_path: Path, program: str, **settings: str) -> dict[str, list[str]]:
    """What a process has imported, and its threads, when it has run a program."""
    file = tmp_path / "agent.py"
    file.write_text(program)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PREFACTOR_")}
    done = subprocess.run(
        [sys.executable, str(file)],
        env={**kept, "HOME": str(tmp_path), **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    assert done.stderr == ""
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("settings", "imported"),
    [
        ({}, {DIGEST}),
        ({"PREFACTOR_API_TOKEN": "t"}, {DIGEST, PREFACTOR, CLIENT}),
        ({"PREFACTOR_OTLP": "1"}, {DIGEST, OTLP}),
        ({"PREFACTOR_API_TOKEN": "t", "PREFACTOR_DISABLED": "1"}, set()),
        # A setting that cannot be used is the first call's affair.
        ({"PREFACTOR_API_TOKEN": "t", "PREFACTOR_OTLP": "maybe"}, set()),
    ],
    ids=["journal", "prefactor", "otlp", "disabled", "wrong"],
)
def test_an_agents_file_imports_what_its_calls_need(
    tmp_path: Path, settings: dict[str, str], imported: set[str]
) -> None:
    found = _run(tmp_path, AGENT + REPORT, **settings)
    assert imported == {DIGEST, PREFACTOR, OTLP, CLIENT} & set(found["modules"])
    assert found["threads"] == ["MainThread"]


def test_a_class_that_is_made_on_an_event_loop_imports_nothing(tmp_path: Path) -> None:
    program = """
import asyncio
from prefactor_agent import TracedAgent

async def entrypoint():
    class Clerk(TracedAgent):
        pass

asyncio.run(entrypoint())
"""
    found = _run(tmp_path, program + REPORT, PREFACTOR_API_TOKEN="t")
    assert not {DIGEST, PREFACTOR, OTLP, CLIENT} & set(found["modules"])


def test_who_only_imports_the_names_imports_no_more(tmp_path: Path) -> None:
    found = _run(tmp_path, "from prefactor_agent import TracedAgent, traced_tool" + REPORT)
    assert not {DIGEST, PREFACTOR, OTLP, CLIENT} & set(found["modules"])


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    made = OtlpReceiver()
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("agent", "target"),
    [
        (AGENT, "journal"),
        (AGENT, "prefactor"),
        (PLAIN, "prefactor"),
        (AGENT, "otlp"),
        (AGENT, "archive"),
    ],
    ids=["journal", "prefactor", "plain", "otlp", "archive"],
)
def test_a_call_imports_nothing_more(
    tmp_path: Path, server: PrefactorServer, receiver: OtlpReceiver, agent: str, target: str
) -> None:
    settings = {
        "journal": {},
        "prefactor": {"PREFACTOR_API_URL": server.url, "PREFACTOR_API_TOKEN": server.token},
        "otlp": {
            "PREFACTOR_OTLP": "1",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
        },
        "archive": {"PREFACTOR_ARCHIVE": str(tmp_path / "archive")},
    }[target]
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    found = _run(tmp_path, agent + CALL, PYTHONPATH=os.pathsep.join(path), **settings)
    assert found["modules"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="LiveKit has a fork server on Linux only")
def test_a_process_that_was_forked_has_all_of_it(tmp_path: Path) -> None:
    report = FORKED + (
        '    import json\n    print(json.dumps({"modules": modules, "threads": threads}))\n'
    )
    found = _run(tmp_path, report)
    assert {DIGEST, PREFACTOR, OTLP, CLIENT} <= set(found["modules"])
    assert found["threads"][:1] == ["MainThread"]


def test_a_subclass_may_have_arguments_of_its_own(tmp_path: Path) -> None:
    program = """
from prefactor_agent import TracedAgent, TracedAgentTask


class Named:
    def __init_subclass__(cls, *, line="", **others):
        super().__init_subclass__(**others)
        cls.line = line


class Clerk(TracedAgent, Named, line="sales"):
    pass


class Task(TracedAgentTask[int], Named, line="returns"):
    pass


assert (Clerk.line, Task.line) == ("sales", "returns")
"""
    _run(tmp_path, program + REPORT)
