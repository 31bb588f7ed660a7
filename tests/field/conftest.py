from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefactor_agent.testing import Trace, collecting


@pytest.fixture
def trace() -> Iterator[Trace]:
    with collecting() as found:
        yield found
