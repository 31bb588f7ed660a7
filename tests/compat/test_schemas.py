"""The schemas against those of prefactor-livekit 0.1.5: everything of theirs is in ours."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import prefactor_livekit as theirs
import pytest
from prefactor_core import SchemaRegistry

import prefactor_agent as ours
from prefactor_agent.compat.schemas import opened
from prefactor_agent.schemas.catalog import QUALITY, agent_schema_version

JSON = dict[str, Any]

ARGUMENTS = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
ANSWER = {"type": "object", "properties": {"outputs": {"type": "object"}}}
TOOLS: JSON = {
    "hours": {"span_type": "tool:opening-hours", "input_schema": ARGUMENTS},
    "book": {"span_type": " book ", "input_schema": ARGUMENTS, "result_schema": ANSWER},
    "find": {"span_type": "livekit:tool:find", "input_schema": {}},
}
TITLES = {"LiveKit LLM Metrics"}
"""Titles that are wrong of a traced agent's spans: they have more than metrics."""


def missing(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Where ``found`` lacks, or changes, something of ``wanted``."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key in found:
                yield from missing(value, found[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is missing"
    elif path.endswith(".enum"):
        if not set(wanted) <= set(found):
            yield f"{path}: {wanted} is not among {found}"
    elif wanted != found and wanted not in TITLES:
        yield f"{path}: {wanted} has become {found}"


def by_name(compiled: JSON) -> JSON:
    return {entry["name"]: entry for entry in compiled["span_type_schemas"]}


@pytest.mark.parametrize("tools", [None, {}, TOOLS])
def test_our_types_have_every_key_of_theirs(tools: JSON | None) -> None:
    wanted, wanted_types = theirs.compile_livekit_agent_schema(tools)
    found, found_types = ours.compile_livekit_agent_schema(tools)
    assert found_types == wanted_types
    assert found.keys() == wanted.keys()
    assert found["external_identifier"] == wanted["external_identifier"]
    assert list(missing(by_name(wanted), by_name(found), "")) == []
    assert len(by_name(found)) == len(found["span_type_schemas"])


def test_the_check_sees_a_difference() -> None:
    wanted, _ = theirs.compile_livekit_agent_schema()
    assert ".livekit:session is missing" in set(missing(by_name(wanted), {}, ""))
    assert list(missing({"a": {"b": 1}}, {"a": {"b": 2}}, "")) == [".a.b: 1 has become 2"]
    assert list(missing({"enum": ["a", "b"]}, {"enum": ["a"]}, "")) != []


def test_our_schemas_have_the_names_of_theirs() -> None:
    names = [name for name in theirs.__all__ if name.endswith("_SCHEMA")]
    assert len(names) == 10
    for name in names:
        wanted, found = getattr(theirs, name), getattr(ours, name)
        if name.startswith("DEFAULT"):
            wanted, found = by_name(wanted), by_name(found)
        assert list(missing(wanted, found, name)) == []


def test_the_schemas_of_two_calls_share_nothing() -> None:
    one, _ = ours.compile_livekit_agent_schema(TOOLS)
    before = deepcopy(one)
    for entry in one["span_type_schemas"]:
        entry["params_schema"]["properties"].clear()
    assert ours.compile_livekit_agent_schema(TOOLS)[0] == before
    ours.LiveKitToolSchemaConfig("a", {}).result_schema.clear()
    assert ours.LiveKitToolSchemaConfig("a", {}).result_schema == {
        "type": "object",
        "additionalProperties": True,
    }


WRONG: list[Any] = [
    {"a": {}},
    {"a": {"span_type": 1, "input_schema": {}}},
    {"a": {"span_type": "x"}},
    {"a": {"span_type": "x", "input_schema": []}},
    {"a": {"span_type": "x", "input_schema": {}, "result_schema": 1}},
    {"a": {"span_type": "  ", "input_schema": {}}},
    {"a": "order"},
    {
        "a": {"span_type": "x", "input_schema": {}},
        "b": {"span_type": "tool:x", "input_schema": {}},
    },
]


@pytest.mark.parametrize("tools", WRONG)
def test_we_refuse_what_they_refuse_in_the_same_words(tools: Any) -> None:
    with pytest.raises(ValueError) as wanted:
        theirs.compile_livekit_agent_schema(tools)
    with pytest.raises(ValueError) as found:
        ours.compile_livekit_agent_schema(tools)
    assert str(found.value) == str(wanted.value)


def test_a_configuration_object_is_refused_as_a_mapping_is() -> None:
    for span_type, schema in ((" ", {}), ("x", None)):
        with pytest.raises(ValueError) as wanted:
            theirs.compile_livekit_agent_schema(
                {"a": theirs.LiveKitToolSchemaConfig(span_type, schema)}  # type: ignore[arg-type]
            )
        with pytest.raises(ValueError) as found:
            ours.compile_livekit_agent_schema(
                {"a": ours.LiveKitToolSchemaConfig(span_type, schema)}  # type: ignore[arg-type]
            )
        assert str(found.value) == str(wanted.value)


def test_registering_adds_to_what_a_registry_holds() -> None:
    wanted, found = SchemaRegistry(), SchemaRegistry()
    for registry in (wanted, found):
        registry.register_type("shop:order", {"type": "object"})
    assert theirs.register_livekit_schemas(wanted, TOOLS) == ours.register_livekit_schemas(
        found, TOOLS
    )
    before, after = (one.to_agent_schema_version("v") for one in (wanted, found))
    assert list(missing(by_name(before), by_name(after), "")) == []
    assert [entry["name"] for entry in after["quality_schemas"]] == [QUALITY]
    for register in (theirs.register_livekit_schemas, ours.register_livekit_schemas):
        with pytest.raises(ValueError, match="already registered"):
            register(found)


def test_a_call_is_registered_with_what_the_program_registered() -> None:
    """Its own types and tools as they are; ours as open as ever, so that nothing that was redacted
    is refused for its shape."""
    chosen = SchemaRegistry()
    chosen.register_type("shop:order", {"type": "object"})
    chosen.register("shop:old", {"type": "object"})
    ours.register_livekit_schemas(chosen, TOOLS)
    version = agent_schema_version(
        ["livekit:tool:book", "livekit:tool:pay"],
        chosen=opened(chosen.to_agent_schema_version("")),
    )
    types = by_name(version)
    assert len(types) == len(version["span_type_schemas"])
    assert {"shop:order", "livekit:tool:pay", "livekit:tool:opening-hours"} <= types.keys()
    assert types["livekit:tool:book"]["params_schema"]["properties"]["inputs"] == ARGUMENTS
    assert types["livekit:session"] == by_name(agent_schema_version())["livekit:session"]
    assert version["span_schemas"] == {"shop:old": {"type": "object"}}
    assert len(version["quality_schemas"]) == 1


def test_a_type_that_the_program_made_its_own_stays_its_own() -> None:
    chosen = SchemaRegistry()
    chosen.register_type("livekit:session", {"type": "object"}, title="A call of ours")
    version = agent_schema_version(chosen=opened(chosen.to_agent_schema_version("")))
    assert by_name(version)["livekit:session"]["title"] == "A call of ours"
