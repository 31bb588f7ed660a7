"""What is seen of a run is of that run alone."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> None:
    """asyncio logs what became of a task when that is collected: of tests before, not in a run."""
    gc.collect()
