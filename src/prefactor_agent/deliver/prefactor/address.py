"""Where Prefactor is, and the token for it. Checked once, at the start."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from ...config import ConfigurationError, Settings
from ..common.address import checked_url, is_loopback


class Address(NamedTuple):
    url: str
    token: SecretStr


def address(settings: Settings) -> Address | None:
    """Where the settings say that Prefactor is; ``None`` without a token.

    Raises:
        ConfigurationError: The URL or the token cannot be used.
    """
    if settings.api_token is None:
        return None
    token = settings.api_token.get_secret_value()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            "PREFACTOR_API_TOKEN holds a space, a line break or another character that no token "
            "has: copy it again"
        )
    return Address(_url(settings.api_url, settings.allow_http), settings.api_token)


def _url(text: str, allow_http: bool) -> str:
    checked_url("PREFACTOR_API_URL", text, "https://app.prefactorai.com")
    parts = urlsplit(text)
    host = parts.hostname or ""
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigurationError(
            f"PREFACTOR_API_URL sends the token unencrypted to {host}: use https, or "
            "configure(allow_http=True)"
        )
    return text.rstrip("/")
