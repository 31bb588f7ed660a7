"""Where to deliver to. Checked once, at the start."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from ...config import ConfigurationError, Settings


class Target(NamedTuple):
    url: str
    token: SecretStr


def target(settings: Settings) -> Target | None:
    """The target that the settings name; ``None`` without a token.

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
    return Target(_url(settings.api_url, settings.allow_http), settings.api_token)


def _url(text: str, allow_http: bool) -> str:
    wrong = ConfigurationError(
        f"PREFACTOR_API_URL must be like https://app.prefactorai.com, not {_shown(text)!r}"
    )
    if any(character.isspace() for character in text):
        raise wrong
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("PREFACTOR_API_URL must not hold a user name or a password")
    if parts.scheme == "http" and not allow_http and not _loopback(host):
        raise ConfigurationError(
            f"PREFACTOR_API_URL sends the token unencrypted to {host}: use https, or "
            "configure(allow_http=True)"
        )
    return text.rstrip("/")


def _shown(text: str) -> str:
    """The URL without what is before an ``@``, which may be a password."""
    return text.rpartition("@")[2][:80]


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
