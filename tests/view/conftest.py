from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Chromium for all tests that want one."""
    from view.browser import start

    made = start(tmp_path_factory.mktemp("chromium"))
    yield made
    made.quit()
