"""The comparison: a case must be the same whether it is traced or not."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.core.guard import failures
from prefactor_agent.tracing import tracer
from support.memory_sink import MemorySink

from .observed import first_difference
from .stage import PLAIN, TRACED, Case, Names, played


def difference(case: Case, traced: Names = TRACED) -> str | None:
    """What tells the traced run of ``case`` from the plain one, if anything does."""
    return first_difference(played(case, PLAIN), played(case, traced))


def assert_same(case: Case) -> None:
    """The two runs are equal, and the second one was traced: whole, and without a failure."""
    sink = MemorySink()
    tracer.send_to(sink)
    found = difference(case)
    assert found is None, found
    assert not failures
    spans = sink.as_dicts()
    assert spans, "nothing was traced"
    assert not [span for span in spans if span["status"] == "active"]


def rows(*cases: Any) -> pytest.MarkDecorator:
    """Cases as the rows of a parametrized test, named after their functions."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.__name__)


def product(forms: list[Any], scripts: list[Any]) -> pytest.MarkDecorator:
    """Each form of an agent with each script that it is put through."""
    pairs = [
        pytest.param(form, script, id=f"{form.__name__}-{script.__name__}")
        for form in forms
        for script in scripts
    ]
    return pytest.mark.parametrize(("form", "script"), pairs)
