"""Access to the server: this machine's user, from the pages of this server only.

A server on loopback is open to every program and every user of the machine, and through a name that
resolves to 127.0.0.1 (DNS rebinding) to every web page. The journal is readable by its owner only,
so the pages are too: whoever comes must name the right host and know the key that was printed."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from yarl import URL

from ..report.page import policy_hash

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Looks at each request before anything else does."""

    def __init__(self) -> None:
        self._key = secrets.token_urlsafe(18)
        self._hosts: frozenset[str] = frozenset()
        self._cookie = ""

    def address(self, port: int) -> str:
        """Where the server is, once it has a port. It has the key in it."""
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._cookie = f"prefactor_ui_{port}"  # browsers share cookies between ports
        return f"http://127.0.0.1:{port}/?key={self._key}"

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in self._hosts:
            return refused(403, "This server answers to 127.0.0.1 and localhost only.")
        if request.method not in ("GET", "HEAD"):
            return refused(405, "There is nothing to be changed here.")
        if self._is_key(request.query.get("key", "")):
            # Two slashes at its beginning would make another server of it.
            clean = URL("/" + request.path.lstrip("/\\"), encoded=False).with_query(
                {k: v for k, v in request.query.items() if k != "key"}
            )
            answer = web.Response(status=303, headers={"Location": str(clean)})
            answer.set_cookie(self._cookie, self._key, httponly=True, samesite="Lax")
            return answer
        if not self._is_key(request.cookies.get(self._cookie, "")):
            return refused(403, "Open the address that prefactor-agent ui has printed.")
        return await handler(request)

    def _is_key(self, given: str) -> bool:
        # A cookie may be of any bytes.
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self._key.encode())


def refused(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n")


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def policy_of(script: str, style: str) -> str:
    """The policy of a page that asks nothing of anybody but this server, and runs no script and has
    no style but its own."""
    return (
        f"default-src 'none'; script-src {policy_hash(script)}; "
        f"style-src {policy_hash(style)}; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
