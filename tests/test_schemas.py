from __future__ import annotations

from typing import get_args

import jsonschema
from prefactor_http.models.agent_instance import AgentSchemaVersionForRegister, DataRisk
from pydantic import BaseModel

from prefactor_agent.core.span import SpanType
from prefactor_agent.deliver.prefactor.quality import quality
from prefactor_agent.schemas.catalog import QUALITY, agent_schema_version
from prefactor_agent.schemas.entry import ToolSchema
from prefactor_agent.stored.figures import FIGURES
from prefactor_agent.tool_options import DATA_RISK


def test_every_type_of_span_is_registered_with_all_that_a_reader_wants() -> None:
    version = agent_schema_version(["livekit:tool:book"])
    AgentSchemaVersionForRegister.model_validate(version)
    types = {entry["name"]: entry for entry in version["span_type_schemas"]}
    assert types.keys() == {type_.value for type_ in SpanType} | {"livekit:tool:book"}
    for entry in types.values():
        assert entry["title"]
        assert entry["description"]
        assert "\n" not in entry["template"]
        assert entry["data_risk"].keys() == {
            "action_profile",
            "params_data_categories",
            "result_data_categories",
        }
        for schema in (entry["params_schema"], entry["result_schema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
    assert types["livekit:tool:book"]["title"] == "Tool book"


def test_every_type_says_its_risk_in_the_words_of_prefactor() -> None:
    for entry in agent_schema_version(["livekit:tool:book"])["span_type_schemas"]:
        risk = DataRisk.model_validate(entry["data_risk"])
        assert risk.action_profile is not None
        assert risk.action_profile.financial_transactions == "disallowed", entry["name"]
        for part in ("params_data_categories", "result_data_categories"):
            assert entry["data_risk"][part]["classification"] in ("confidential", "internal")
            assert entry["data_risk"][part].keys() <= DATA_RISK[part].keys()
    spoken = {e["name"]: e["data_risk"] for e in agent_schema_version()["span_type_schemas"]}
    for type_ in ("user_turn", "assistant_turn", "llm", "stt", "transcription", "session"):
        result = spoken[f"livekit:{type_}"]["result_data_categories"]
        assert result["classification"] == "confidential", type_


def test_the_name_of_the_schemas_is_a_hash_of_them() -> None:
    one, same = agent_schema_version(["livekit:tool:a"]), agent_schema_version(["livekit:tool:a"])
    other = agent_schema_version(["livekit:tool:b"])
    assert one == same
    assert one["external_identifier"] != other["external_identifier"]


def test_what_a_user_says_of_a_tool_wins() -> None:
    risk = {
        "action_profile": {"financial_transactions": "allowed"},
        "params_data_categories": {},
        "result_data_categories": {},
    }
    version = agent_schema_version(
        ["livekit:tool:pay"], {"pay": ToolSchema(data_risk=risk, template="{{ inputs.amount }}")}
    )
    [pay] = [e for e in version["span_type_schemas"] if e["name"] == "livekit:tool:pay"]
    assert pay["data_risk"] == risk
    assert pay["template"] == "{{ inputs.amount }}"


def test_a_data_risk_may_say_what_prefactors_own_model_knows() -> None:
    def values(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
        return {name: get_args(field.annotation) for name, field in model.model_fields.items()}

    parts = {name: field.annotation for name, field in DataRisk.model_fields.items()}
    assert {name: values(model) for name, model in parts.items() if model} == DATA_RISK


def test_a_quality_payload_fits_its_schema() -> None:
    [entry] = agent_schema_version()["quality_schemas"]
    assert entry["name"] == QUALITY
    full = quality(
        [
            ("livekit:user_turn", "complete", "{}"),
            ("livekit:llm", "complete", '{"token_usage":{"total_tokens":9}}'),
            ("livekit:llm", "failed", '{"token_usage":null}'),
            ("livekit:tool:x", "failed", None),
            ("livekit:stt", "complete", '{"audio_seconds":1.25}'),
            ("livekit:session", "complete", '{"outcome":"fail"}'),
        ],
        {
            "turns": 2,
            "tools": 1,
            "tools_failed": 1,
            "errors": 2,
            "silence_worst_ms": 800.5,
            "cost_usd": 0.0061,
            "cost_partial": True,
        },
    )
    for payload in (full, quality([], {})):
        jsonschema.validate(payload, entry["schema"])
    assert {one.name for one in FIGURES} <= entry["schema"]["properties"].keys()
    assert (full["total_tokens"], full["user_speech_seconds"], full["tools"]) == (9, 1.25, 1)
    assert "prompt_tokens" not in full
    assert quality([], {}) == {}
