"""Prefactor's HTTP API: the client of prefactor-http, without the parts that lose data.

This module uses the configuration, the headers and the typed calls for agent instances of
prefactor-http 0.4. It does not use

- its retries: they ignore ``Retry-After`` and repeat requests that have no idempotency key. They
  are turned off; :mod:`..common.backoff` replaces them;
- its reading of answers: it drops the headers (``Retry-After``), and takes an answer that is no
  JSON for a permanent refusal, although the request may have had its effect;
- its typed calls for spans and ``bulk``: they encode again what is JSON in the journal already, one
  output of an unknown status spoils the whole answer, and an answer that lacks a field of the model
  raises after the effect. A repeat has to be the same text as the first try.
"""

from __future__ import annotations

from prefactor_http import HttpClientConfig, PrefactorHttpClient
from prefactor_http.endpoints import agent_instance  # noqa: F401  # else with the first request
from prefactor_http.exceptions import PrefactorApiError, PrefactorAuthError
from prefactor_http.models.agent_instance import AgentInstance
from prefactor_http.models.base import ApiResponse
from pydantic_core import from_json, to_json

from ...core.json import JSON
from ..common.http import Answer, LaterError, NotAcceptedError, exchange, proxy_for
from .address import Address

_RESPONSE = ApiResponse[AgentInstance]
"""The class that prefactor-http reads each answer about an instance with. pydantic holds such a
class only as long as somebody uses it: without this reference each answer makes it anew, in 3 ms.
"""

REQUEST_TIMEOUT_S = 15.0


class RefusedError(PrefactorApiError):  # type: ignore[misc]  # it has no types of its own
    """Prefactor understood the request and refused it."""

    code: str
    status_code: int

    def __init__(self, status: int, code: str, message: str, errors: JSON) -> None:
        super().__init__(f"{status} {code}: {message}", code, status)
        self.errors = errors


class DeniedError(RefusedError, PrefactorAuthError, NotAcceptedError):  # type: ignore[misc]
    """Prefactor does not accept the token for this request (401, 403)."""


class Api(PrefactorHttpClient):  # type: ignore[misc]  # it has no types of its own
    """A client for one address, to be used as an async context manager.

    Raises (every request):
        LaterError, RefusedError, DeniedError
    """

    def __init__(self, address: Address, sdk: str, timeout: float = REQUEST_TIMEOUT_S) -> None:
        super().__init__(
            HttpClientConfig(
                api_url=address.url,
                api_token=address.token.get_secret_value(),
                request_timeout=timeout,
                connect_timeout=min(5.0, timeout),
                max_retries=0,
            ),
            sdk_header=sdk,
        )
        self._proxy = proxy_for(address.url)
        self.date_header: str | None = None
        """The ``Date`` of the last answer."""

    def __repr__(self) -> str:
        return f"Api({self.config.api_url})"  # the configuration's own repr shows the token

    async def post(self, path: str, body: bytes) -> JSON:
        """Send a body that is JSON text already."""
        await self._ensure_session()
        return await self._call("POST", path, body, None)

    async def _make_request(
        self,
        method: str,
        path: str,
        params: JSON | None = None,
        json_data: JSON | None = None,
        idempotency_key: str | None = None,
    ) -> JSON:
        # prefactor-http's typed calls end up here.
        body = None if json_data is None else to_json(json_data, inf_nan_mode="null")
        return await self._call(method, path, body, params)

    async def _call(self, method: str, path: str, body: bytes | None, params: JSON | None) -> JSON:
        assert self._session is not None
        headers = {
            "Authorization": f"Bearer {self.config.api_token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Prefactor-SDK": self._sdk_header,
        }
        answer = await exchange(
            self._session,
            method,
            self.config.api_url + path,
            headers,
            data=body,
            params=params,
            proxy=self._proxy,
        )
        self.date_header = answer.headers.get("Date")
        return _read(answer)


def _read(answered: Answer) -> JSON:
    status, raw = answered.status, answered.body
    try:
        answer = from_json(raw)
    except ValueError:
        answer = None
    if status == 429 or status >= 500:
        raise LaterError(f"HTTP {status}", after=answered.retry_after, failed=status >= 500)
    if not isinstance(answer, dict) or status < 200 or 300 <= status < 400:
        kind = "a page" if answered.is_page else "no JSON"
        if status == 413:
            raise RefusedError(413, "payload_too_large", kind, {})
        raise LaterError(
            f"what answers is not Prefactor, or a proxy stands between (HTTP {status}, {kind}): "
            "check PREFACTOR_API_URL"
        )
    if status >= 400:
        errors = answer.get("errors")
        kind_of_refusal = DeniedError if status in (401, 403) else RefusedError
        raise kind_of_refusal(
            status,
            str(answer.get("code", "unknown")),
            str(answer.get("message", ""))[:300],
            errors if isinstance(errors, dict) else {},
        )
    return answer
