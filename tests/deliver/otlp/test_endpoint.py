"""What OpenTelemetry's own variables mean here."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefactor_agent.config import ConfigurationError
from prefactor_agent.deliver.otlp.endpoint import endpoint

E = "OTEL_EXPORTER_OTLP_"
T = "OTEL_EXPORTER_OTLP_TRACES_"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({f"{E}ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({f"{E}ENDPOINT": "https://otlp.example/base/"}, "https://otlp.example/base/v1/traces"),
        ({f"{T}ENDPOINT": "http://here/my/path?k=v"}, "http://here/my/path?k=v"),
        ({f"{E}ENDPOINT": "http://a:1", f"{T}ENDPOINT": "http://b:2/x"}, "http://b:2/x"),
        ({f"{E}ENDPOINT": "", f"{T}ENDPOINT": " "}, "http://localhost:4318/v1/traces"),
    ],
)
def test_the_address_for_traces_is_taken_as_it_is_and_the_one_for_all_is_a_base(
    environment: dict[str, str], url: str
) -> None:
    assert endpoint(environment).url == url


def test_headers_are_url_encoded_and_those_for_traces_win() -> None:
    encoded = "Authorization=Basic%20YTpi,x-project = one%2Ctwo ,x=a=b,"
    assert endpoint({f"{E}HEADERS": encoded}).headers == {
        "authorization": "Basic YTpi",
        "x-project": "one,two",
        "x": "a=b",
    }
    both = {f"{E}HEADERS": "a=1", f"{T}HEADERS": "b=2"}
    assert endpoint(both).headers == {"b": "2"}


def test_times_are_seconds_as_python_reads_them_and_bounded() -> None:
    """10000 is ten seconds for who reads the specification: waiting for a minute does no harm."""
    seconds = [endpoint({f"{E}TIMEOUT": text}).timeout_s for text in ("10", "0.5", "10000")]
    assert seconds == [10, 0.5, 60]
    assert endpoint({}).timeout_s == 10


def test_what_the_spans_come_from() -> None:
    assert endpoint({}).resource["service.name"] == "livekit-agent"
    given = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment=pro%20d",
        "OTEL_SERVICE_NAME": "clerk",
    }
    resource = endpoint(given).resource
    assert resource["service.name"] == "clerk"
    assert resource["deployment.environment"] == "pro d"
    assert resource["telemetry.sdk.name"] == "prefactor-agent"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({f"{E}PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"),
        ({f"{T}PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'http/json'"),
        ({f"{E}ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be like http://"),
        ({f"{T}ENDPOINT": "http://a b"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be like"),
        ({f"{E}ENDPOINT": "http://me:s3cret@host"}, "must not hold a user name or a password"),
        ({f"{E}HEADERS": "good=1,s3cret"}, "OTEL_EXPORTER_OTLP_HEADERS must be like name=value"),
        ({f"{E}HEADERS": "a=s3cret%0Aline"}, "its part 1 is not"),
        ({f"{E}TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT must be a number of seconds"),
        ({f"{E}TIMEOUT": "0"}, "OTEL_EXPORTER_OTLP_TIMEOUT must be a number of seconds"),
        ({f"{E}COMPRESSION": "br"}, "OTEL_EXPORTER_OTLP_COMPRESSION must be gzip, deflate or none"),
        ({f"{E}CERTIFICATE": "/no/such.pem"}, "OTEL_EXPORTER_OTLP_CERTIFICATE: /no/such.pem"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a"}, "OTEL_RESOURCE_ATTRIBUTES must be like"),
    ],
)
def test_one_line_says_what_cannot_be_used_and_shows_no_secret(
    environment: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        endpoint(environment)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"CLIENT_CERTIFICATE: .*wrong\.pem"):
        endpoint({f"{E}CLIENT_CERTIFICATE": str(wrong)})


def test_headers_are_in_no_repr() -> None:
    assert "s3cret" not in repr(endpoint({f"{E}HEADERS": "api-key=s3cret"}))
