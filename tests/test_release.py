"""What a release says of itself in several places is the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from release.dist import PYTHONS

CHECKOUT = Path(__file__).parent.parent
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    last = "Programming Language :: Python :: "
    classified = [of.removeprefix(last) for of in PROJECT["classifiers"] if of.startswith(last)]
    assert classified == list(PYTHONS)
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    jobs = yaml.safe_load((CHECKOUT / ".github/workflows/test.yml").read_text())["jobs"]
    assert jobs["platforms"]["strategy"]["matrix"]["python"] == list(PYTHONS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_what_is_there(workflow: Path) -> None:
    text = workflow.read_text()
    jobs = yaml.safe_load(text)["jobs"]
    makefile = (CHECKOUT / "Makefile").read_text()
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    for target in re.findall(r"^make (\w+)", "\n".join(commands), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for path in re.findall(r"[\w./-]+(?:\.ci/run|requirements/\w+\.txt|__init__\.py)", text):
        assert (CHECKOUT / path).exists(), path


def test_the_version_is_said_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
