"""Checks the address of a service that a setting names."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from ...config import ConfigurationError


def checked_url(variable: str, text: str, example: str, *, query: bool = False) -> str:
    """An address that requests can be sent to, with the host in it.

    Args:
        variable: The setting, for the message.
        query: Whether it may have a query, too.

    Raises:
        ConfigurationError: It is none. What may be a password in it is not shown.
    """
    wrong = ConfigurationError(f"{variable} must be like {example}, not {shown(text)!r}")
    if any(character.isspace() for character in text):
        raise wrong
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not host or parts.fragment:
        raise wrong
    if parts.query and not query:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{variable} must not hold a user name or a password")
    return text


def shown(url: str) -> str:
    """An address as it may be logged: without its query, which may have a key in it, and without
    what is before an ``@``, which may be a password."""
    return url.partition("?")[0].rpartition("@")[2][:80]


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
