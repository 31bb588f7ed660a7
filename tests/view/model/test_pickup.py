from __future__ import annotations

from dataclasses import replace

import pytest

from prefactor_agent.conversation import stages
from prefactor_agent.view.model import stagenames
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.pickup import pickup_of
from prefactor_agent.view.terminal.lines import LABEL
from view.calls import session, spoken_call, us
from view.pickups import TOOK, picked_up


def test_what_was_recorded() -> None:
    found = pickup_of(build([session(pickup=picked_up())]))
    assert found is not None
    assert (found.begins_us, found.us) == (us(-1000), 2_000_000)
    assert {stage.name: stage.ms for stage in found.stages} == TOOK
    assert found.slowest is not None and found.slowest.label == "waiting for a process"
    assert found.answered and found.remark == "" and not found.over_budget


def test_what_a_reader_has_to_know_of_it() -> None:
    one = picked_up(since="session_start", until="caller", basis={"clocks_apart_ms": 40.0})
    found = pickup_of(build([session(pickup=one)]))
    assert found is not None and not found.answered
    assert found.remark == "the server's clock is off"
    assert found.beginning == "the start of the session"


def test_a_budget_that_it_is_over() -> None:
    root = session(pickup=picked_up(over_budget={"pickup": 2.0}))
    root = replace(root, payload={**root.payload, "budgets": {"pickup": 1.5}})
    found = pickup_of(build([root]))
    assert found is not None and found.over_budget and found.budget_ms == 1500.0


@pytest.mark.parametrize("damaged", [None, 7, {}, {"ms": "two"}, {"stages": [1]}])
def test_there_is_none(damaged: object) -> None:
    assert pickup_of(build([session(pickup=damaged)])) is None
    assert pickup_of(build(spoken_call()[1:])) is None


def test_each_stage_has_a_label_that_fits_the_terminals_column() -> None:
    names = [*stages.PICKUP_ORDER, *(name for name in stages.ORDER if name != stages.TOOL)]
    labels = [stagenames.row(name) for name in names]
    assert max(map(len, labels)) <= LABEL, labels
    assert not any("_" in label for label in labels if label not in ("on_enter",))
