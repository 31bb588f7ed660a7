from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import prefactor_agent.conversation.pickup
import prefactor_agent.conversation.steps
from prefactor_agent.conversation import stages
from prefactor_agent.view.model import stagenames


@pytest.mark.parametrize(
    "stage, kind, request_",
    [
        ("vad", "vad", 1),
        ("llm_ttft", "llm_ttft", 1),
        ("llm_ttft_2", "llm_ttft", 2),
        ("llm_tool_call_12", "llm_tool_call", 12),
        ("llm_ttft_two", "llm_ttft_two", 1),
        ("vad_2", "vad_2", 1),
        ("tool:look_up_2", "tool", 1),
    ],
)
def test_a_stage_has_a_kind_and_a_request(stage: str, kind: str, request_: int) -> None:
    assert stages.base(stage) == (kind, request_)


def test_the_later_requests_to_a_model_are_numbered() -> None:
    assert [stages.numbered("llm_ttft", request) for request in (1, 2)] == [
        "llm_ttft",
        "llm_ttft_2",
    ]


@pytest.mark.parametrize("name", ["", "tool", "tool:", "vad_2", "perceived", "LLM_TTFT"])
def test_other_names_are_no_stages(name: str) -> None:
    assert not stages.is_stage(name)


def test_every_stage_that_a_silence_is_cut_into_is_known_and_has_a_label() -> None:
    named = names(prefactor_agent.conversation.steps)
    made = {getattr(stages, name) for name in named if name.isupper()}
    assert made == set(stages.ORDER) - {stages.TOOL, stages.UNATTRIBUTED}
    assert "of_tool" in named
    assert set(stagenames._STAGES) == {*stages.ORDER, *stages.PICKUP_ORDER}


def test_so_is_every_stage_that_only_a_pickup_has() -> None:
    named = names(prefactor_agent.conversation.pickup)
    made = {getattr(stages, name) for name in named if name.isupper()}
    assert made - {stages.PICKUP, stages.ON_ENTER} == set(stages.PICKUP_ORDER)
    assert set(stages.PICKUP_ORDER).isdisjoint(stages.ORDER)


def names(module: ModuleType) -> set[str]:
    """What a module names of `stages`."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text())
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "stages"
    }
