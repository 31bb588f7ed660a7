"""Values of the user's, as plain data."""

from __future__ import annotations

import enum
import json
from collections import deque
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from prefactor_agent.core.plain import plain


class Scan(BaseModel):
    page: bytes
    pin: SecretStr
    day: date


@dataclass
class Letter:
    stamp: bytes
    scan: Scan | None = None


class Mark(enum.Enum):
    RED = b"r"


SCAN = Scan(page=b"page", pin=SecretStr("1234"), day=date(2026, 1, 2))


def nested(levels: int) -> Any:
    value: Any = "deep down"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [(nested(150), "<list>"), (10**5000, "<int>"), ({"n": -(10**400)}, {"n": "<int>"})],
    ids=["deep", "long", "long and negative"],
)
def test_what_no_reader_of_json_takes_is_named(value: Any, expected: Any) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"abc", "<3 bytes>"),
        (bytearray(5), "<5 bytes>"),
        (memoryview(b"abcd"), "<4 bytes>"),
        ({"a": [b"x", ("y", b"zz")]}, {"a": ["<1 bytes>", ["y", "<2 bytes>"]]}),
        ({b"key": 1}, {"<3 bytes>": 1}),
        (deque([b"x"]), ["<1 bytes>"]),
        (Letter(b"abc"), {"stamp": "<3 bytes>", "scan": None}),
        (
            [Letter(b"", SCAN)],
            [
                {
                    "stamp": "<0 bytes>",
                    "scan": {"page": "<4 bytes>", "pin": "**********", "day": "2026-01-02"},
                }
            ],
        ),
        (Mark.RED, "<1 bytes>"),
        (frozenset([b"x"]), ["<1 bytes>"]),
    ],
)
def test_bytes_are_never_kept(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_what_has_no_plain_form_is_named() -> None:
    around: list[Any] = []
    around.append(around)
    assert plain(around) == "<list>"
    assert plain({"it": iter([1])}) == {"it": "<list_iterator>"}
    assert plain(Letter) == "<type>"
    assert json.dumps(plain({"nan": float("nan")}))
