from __future__ import annotations

import math
from typing import Any

import pytest

from prefactor_agent.core.values import as_int, number


@pytest.mark.parametrize("value", [0, 3, -2.5, 1e308])
def test_a_finite_number_is_one(value: float) -> None:
    assert number(value) == value
    assert type(number(value)) is float


@pytest.mark.parametrize("value", [None, True, "3", math.nan, -math.inf, 10**400, [3], {"n": 3}])
def test_nothing_else_is_one(value: Any) -> None:
    assert number(value) is None
    assert as_int(value) is None
