"""One HTTP request, what its failure means for delivery, and how this program names itself."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution, version
from typing import Any, NamedTuple
from urllib.request import (  # type: ignore[attr-defined]  # typeshed lacks the second
    getproxies_environment,
    proxy_bypass_environment,
)

import aiohttp
from yarl import URL

LONGEST_WAIT_S = 300.0
"""The longest ``Retry-After`` that is followed."""


class LaterError(Exception):
    """Nobody knows whether the request had its effect: send the same request again later."""

    def __init__(
        self, why: str, *, after: float | None = None, timeout: bool = False, failed: bool = False
    ) -> None:
        super().__init__(why)
        self.after = after
        self.timeout = timeout
        self.failed = failed
        """The service itself broke on the request (5xx)."""


class NotAcceptedError(Exception):
    """The service does not accept the token or the key: no other request would fare better."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds."""
        return seconds_of(self.headers.get("Retry-After"))

    @property
    def is_page(self) -> bool:
        """What a proxy answers, or a service that is another than was thought."""
        return self.body.lstrip()[:1] == b"<"


async def exchange(
    session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], **more: Any
) -> Answer:
    """Send one request and read the whole answer, whatever its status.

    Args:
        more: As aiohttp's ``request`` takes it.

    Raises:
        LaterError: There is no answer.
    """
    try:
        async with session.request(
            method,
            url,
            headers=headers,
            allow_redirects=False,  # a redirect would send the token somewhere else
            **more,
        ) as response:
            body = await response.read()
            return Answer(response.status, response.headers, body)
    except TimeoutError as error:
        raise LaterError("no answer in time", timeout=True) from error
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
        raise LaterError(_reason(error)) from error
    except RuntimeError as error:  # the program ends: no thread looks up names any more
        raise LaterError(_reason(error)) from error
    except ValueError as error:  # a header or an URL that aiohttp cannot send
        raise LaterError(f"cannot be sent: {type(error).__name__}") from error


def proxy_for(url: str) -> URL | None:
    """The proxy that the environment names for an address, with its password: ``HTTPS_PROXY``,
    ``HTTP_PROXY``, ``ALL_PROXY``, unless ``NO_PROXY`` names its host, in capitals or not.

    aiohttp's ``trust_env`` asks for it on a thread before each request, and looks for passwords in
    ``~/.netrc`` besides."""
    target = URL(url)
    proxies = getproxies_environment()
    named = proxies.get(target.scheme) or proxies.get("all")
    if not named or proxy_bypass_environment(target.host or ""):
        return None
    return URL(named if "://" in named else f"http://{named}")


def seconds_of(retry_after: str | None) -> float | None:
    """``Retry-After``: seconds, or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else None


def _reason(error: BaseException) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return f"{type(error).__name__}: {cause}"[:200]


@cache
def version_of(name: str) -> str:
    """The version of an installed package; ``0``: it is not installed, as when this program runs
    from a source tree. The first look takes a millisecond or two.

    As ``importlib.metadata.version``, which parses the whole description as a mail first."""
    try:
        for line in (distribution(name).read_text("METADATA") or "").splitlines():
            if line.startswith("Version: "):
                return line.removeprefix("Version: ").strip()
        return version(name)
    except Exception:
        return "0"


def named(*packages: str) -> str:
    """``name@version`` of each package."""
    return " ".join(f"{name}@{version_of(name)}" for name in packages)
