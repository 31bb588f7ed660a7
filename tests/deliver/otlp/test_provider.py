"""Providers are called as the GenAI conventions call them."""

from __future__ import annotations

import pytest

from prefactor_agent.deliver.otlp.provider import provider_name

OPENAI = "livekit.plugins.openai.llm.LLM"


@pytest.mark.parametrize(
    ("provider", "label", "name"),
    [
        ("api.openai.com", OPENAI, "openai"),
        ("my-team.openai.azure.com", OPENAI, "azure.ai.openai"),
        ("api.groq.com", OPENAI, "groq"),
        ("openai", "", "openai"),
        ("Google", "livekit.plugins.google.llm.LLM", "gcp.gen_ai"),
        ("Vertex AI", "", "gcp.vertex_ai"),
        ("AWS Bedrock", "", "aws.bedrock"),
        ("MistralAI", "", "mistral_ai"),
        ("Cartesia", "livekit.plugins.cartesia.tts.TTS", "Cartesia"),
        ("llm.example.com:8443", OPENAI, "llm.example.com"),
        ("localhost:34263", OPENAI, "openai"),
        ("127.0.0.1:46495", "livekit.plugins.openai.tts.TTS", "openai"),
        ("[::1]:80", "livekit.plugins.mistralai.llm.LLM", "mistral_ai"),
        ("vllm:8000", OPENAI, "openai"),
        ("", OPENAI, "openai"),
        ("localhost:1", "my_models.Own", None),
        ("", "", None),
    ],
)
def test_a_provider_is_named_by_its_address_or_its_plugin(
    provider: str, label: str, name: str | None
) -> None:
    assert provider_name(provider, label) == name
