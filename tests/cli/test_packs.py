from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.config import Settings
from prefactor_agent.deliver.prefactor.registration import registration
from support.prefactor_readers import EVALS, STEP_TYPES
from view.calls import realtime_call, spoken_call, task_call
from view.commandline import assert_one_line, run
from view.journals import renamed, write


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "j.db", spoken_call(), renamed(task_call(), "task"))


def pack(*args: object, journal: Path) -> dict[str, Any]:
    done = run("evals-pack", *args, journal=journal)
    assert (done.returncode, done.stderr) == (0, "")
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_a_pack_keeps_to_the_format_of_the_evals(journal: Path) -> None:
    made = pack(journal=journal)
    assert {"pack", "version", "schema_version", "span_type_map", "evals"} <= made.keys()
    assert made["schema_version"] == "v1"
    assert {*made["span_type_map"].values()} <= STEP_TYPES
    for name, options in made["evals"].items():
        assert options.keys() <= EVALS[name], name


def test_a_pack_maps_the_tools_of_the_calls_that_are_meant(journal: Path) -> None:
    def tools(*names: str) -> set[str]:
        kinds = pack(*names, journal=journal)["span_type_map"]
        return {
            type_.removeprefix("livekit:tool:")
            for type_, kind in kinds.items()
            if kind == "tool_call" and type_ != "livekit:tool"
        }

    assert tools("last") != tools(spoken_call()[0].id)
    assert tools(spoken_call()[0].id) == {"look_up"}
    assert tools("last", spoken_call()[0].id) == tools("last") | {"look_up"}
    assert tools("Concierge") >= {"look_up"}


def test_every_type_that_the_evals_can_use_is_mapped(tmp_path: Path) -> None:
    made = pack(journal=write(tmp_path / "r.db", realtime_call()))
    kinds = Counter(made["span_type_map"].values())
    assert kinds.keys() == {"llm_call", "tool_call", "output", "handoff"}
    types = made["span_type_map"].keys()
    assert {"livekit:llm", "livekit:realtime", "livekit:assistant_turn", "livekit:handoff"} < types


def test_tools_that_were_not_called_are_mapped_as_they_are_registered(tmp_path: Path) -> None:
    call = spoken_call()
    call[0].payload["tools"] = ["look_up", "cancel_order"]
    made = pack(journal=write(tmp_path / "j.db", call))
    body = registration("s", call[0].payload, [], Settings(journal=tmp_path), "x@1")
    registered = {entry["name"] for entry in body["agent_schema_version"]["span_type_schemas"]}
    assert "livekit:tool:cancel_order" in made["span_type_map"]
    assert made["span_type_map"].keys() <= registered


def test_a_pack_is_written_to_a_file(journal: Path, tmp_path: Path) -> None:
    done = run("evals-pack", "-o", tmp_path / "pack.json", journal=journal)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((tmp_path / "pack.json").read_text("utf-8")) == pack(journal=journal)
    nowhere = run("evals-pack", "-o", tmp_path / "no" / "pack.json", journal=journal)
    assert_one_line(nowhere, "pack.json", "No such file or directory")


def test_a_name_that_nothing_has_is_refused(journal: Path, tmp_path: Path) -> None:
    assert_one_line(run("evals-pack", "nobody", journal=journal), "no call begins with 'nobody'")
    assert_one_line(run("evals-pack", journal=tmp_path / "x.db"), "no call has been traced yet")
