"""Ids of OpenTelemetry are parts of ours."""

from __future__ import annotations

import pytest

from prefactor_agent.core.ids import Ids
from prefactor_agent.deliver.otlp.ids import span_id, trace_id


def test_they_are_the_low_bits_of_the_pfid() -> None:
    id_ = Ids().new()
    bits = 0
    for character in id_:
        bits = bits << 5 | "0123456789abcdefghjkmnpqrstvwxyz".index(character)
    assert trace_id(id_) == (bits & (1 << 128) - 1).to_bytes(16, "big")
    assert span_id(id_) == (bits & (1 << 64) - 1).to_bytes(8, "big")


def test_no_two_spans_of_a_call_have_the_same() -> None:
    ids = Ids()
    assert len({span_id(ids.new()) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("id_", ["", "s1", "0" * 32, "u" * 32, "01m8f2wnyq4sdt4brh77tdnqghqar14h0"])
def test_what_is_no_pfid_is_refused(id_: str) -> None:
    with pytest.raises(ValueError, match="no PFID"):
        span_id(id_)
