"""Where the OpenTelemetry backend is, from OpenTelemetry's own variables.

The variables are those of the OTLP exporter specification
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/); one with ``TRACES`` in its name wins.
None of them turns anything on: they are often set for other spans."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from ...config import ConfigurationError
from ..common.address import checked_url
from ..common.http import version_of

_TRACES = "OTEL_EXPORTER_OTLP_TRACES_"
_ALL = "OTEL_EXPORTER_OTLP_"
DEFAULT_URL = "http://localhost:4318"
DEFAULT_TIMEOUT_S = 10.0
LONGEST_TIMEOUT_S = 60.0
COMPRESSIONS = ("none", "gzip", "deflate")
SERVICE = "livekit-agent"
"""The name of the service where nobody gives one."""


@dataclass(frozen=True)
class Endpoint:
    """Where to send, and how."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    compression: str
    resource: Mapping[str, str]
    """The attributes of what the spans come from."""
    tls: ssl.SSLContext | bool = True
    """``True``: the certificates that the system trusts."""


def endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that the environment names.

    Raises:
        ConfigurationError: A variable cannot be used.
    """

    def read(name: str) -> tuple[str, str | None]:
        """The variable that counts, and its value."""
        for variable in (_TRACES + name, _ALL + name):
            if value := environment.get(variable, "").strip():
                return variable, value
        return _ALL + name, None

    _refuse_other_protocols(*read("PROTOCOL"))
    return Endpoint(
        url=_url(*read("ENDPOINT")),
        headers={name.lower(): value for name, value in _pairs(*read("HEADERS")).items()},
        timeout_s=_timeout(*read("TIMEOUT")),
        compression=_compression(*read("COMPRESSION")),
        resource=_resource(environment),
        tls=_tls(read("CERTIFICATE"), read("CLIENT_CERTIFICATE"), read("CLIENT_KEY")),
    )


def _refuse_other_protocols(variable: str, protocol: str | None) -> None:
    if protocol not in (None, "http/protobuf"):
        raise ConfigurationError(
            f"{variable} is {protocol!r}, and spans are sent as http/protobuf only: set "
            f"{_TRACES}PROTOCOL=http/protobuf and {_TRACES}ENDPOINT to the backend's HTTP address "
            "(port 4318, not 4317)"
        )


def _url(variable: str, value: str | None) -> str:
    url = checked_url(variable, value or DEFAULT_URL, DEFAULT_URL, query=True)
    # As specified: the address for traces is used as it is, the one for all signals is a base.
    return url if variable == f"{_TRACES}ENDPOINT" else f"{url.rstrip('/')}/v1/traces"


def _pairs(variable: str, value: str | None) -> dict[str, str]:
    """``name=value,name=value``, URL-encoded. What cannot be read is not shown: it may be a key."""
    found = {}
    for index, part in enumerate((value or "").split(","), 1):
        if not part.strip():
            continue
        name, equals, text = part.partition("=")
        name, text = unquote(name).strip(), unquote(text).strip()
        if not equals or not name or not (name + text).isprintable():
            raise ConfigurationError(
                f"{variable} must be like name=value,name=value, URL-encoded: its part {index} is "
                "not"
            )
        found[name] = text
    return found


def _timeout(variable: str, value: str | None) -> float:
    """In seconds, as OpenTelemetry's exporter for Python reads it; the specification says
    milliseconds. Such a value is far too long a time-out, and does no more harm than that."""
    try:
        seconds = float(value) if value is not None else DEFAULT_TIMEOUT_S
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise ConfigurationError(f"{variable} must be a number of seconds, not {value!r}")
    return min(seconds, LONGEST_TIMEOUT_S)


def _compression(variable: str, value: str | None) -> str:
    chosen = (value or "none").lower()
    if chosen not in COMPRESSIONS:
        raise ConfigurationError(f"{variable} must be gzip, deflate or none, not {value!r}")
    return chosen


def _tls(
    authority: tuple[str, str | None],
    certificate: tuple[str, str | None],
    key: tuple[str, str | None],
) -> ssl.SSLContext | bool:
    if authority[1] is None and certificate[1] is None:
        return True
    variable, path = authority
    try:
        context = ssl.create_default_context(cafile=path)
        if certificate[1] is not None:
            variable, path = certificate
            context.load_cert_chain(certificate[1], key[1])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"{variable}: {path} cannot be used ({error})") from None
    return context


def _resource(environment: Mapping[str, str]) -> dict[str, str]:
    variable = "OTEL_RESOURCE_ATTRIBUTES"
    given = _pairs(variable, environment.get(variable))
    if name := environment.get("OTEL_SERVICE_NAME", "").strip():
        given["service.name"] = name
    return {
        "service.name": SERVICE,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "prefactor-agent",
        "telemetry.sdk.version": version_of("prefactor-agent"),
        **given,
    }
