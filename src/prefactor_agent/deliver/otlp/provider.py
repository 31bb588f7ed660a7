"""The name of a model's provider, in the spelling of the GenAI conventions.

LiveKit's plugins report a display name (``AWS Bedrock``), or the host of the base URL
(``api.openai.com``, and of a stand-in ``localhost:34263``)."""

from __future__ import annotations

import re

_BY_DOMAIN = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
}
_BY_NAME = {
    "aws": "aws.bedrock",
    "amazonbedrock": "aws.bedrock",
    "awsbedrock": "aws.bedrock",
    "azureopenai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "googlegenai": "gcp.gen_ai",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
}
_PLUGIN = re.compile(r"livekit\.plugins\.(\w+)\.")
_ADDRESS = re.compile(r"localhost|\[[0-9a-f:]+\]|\d+(\.\d+){3}|[^.\s]+(?=:\d+$)")
"""A host that names no provider: of this machine, a number, or a name inside a network."""
_PORT = re.compile(r":\d+$")


def provider_name(provider: str, label: str) -> str | None:
    """The provider's name; of an address that names nobody, that of LiveKit's plugin.

    Args:
        provider: What LiveKit's model says; may be empty.
        label: The class of LiveKit's model, such as ``livekit.plugins.openai.llm.LLM``.
    """
    host = _PORT.sub("", provider.strip().lower())
    for domain, name in _BY_DOMAIN.items():
        if host == domain or host.endswith(f".{domain}"):
            return name
    if not host or _ADDRESS.match(provider.strip().lower()):
        plugin = _PLUGIN.match(label)
        return _known(plugin[1]) if plugin else None
    return _known(_PORT.sub("", provider.strip()))


def _known(name: str) -> str:
    return _BY_NAME.get(re.sub(r"[^a-z0-9]", "", name.lower()), name)
