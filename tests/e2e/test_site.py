"""The built documentation site in a real browser: `make test-docs`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from view.browser import NEEDS_BROWSER, Browser, look, start

SITE = Path(os.environ.get("PREFACTOR_TEST_SITE", ""))
PAGES = ["", "start/", "gallery/", "latency/", "api/", "settings/", "trace-format/", "otlp/"]
pytestmark = [
    NEEDS_BROWSER,
    pytest.mark.skipif(Path() == SITE, reason="make test-docs builds the site and tests it"),
]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing of each request."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SITE.resolve())))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = start(tmp_path_factory.mktemp("profile"))
    yield made
    made.quit()


def opened(driver: Any, address: str, page: str, **how: Any) -> Browser:
    look(driver, **how)
    # The page keeps the colours that it was first seen in.
    forget = {"origin": address, "storageTypes": "all"}
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", forget)
    driver.get(address + page)
    browser = Browser(driver, address)
    browser.until("return document.readyState === 'complete'")
    return browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page or "index")
def test_a_page_is_whole(driver: Any, address: str, page: str, width: int, dark: bool) -> None:
    browser = opened(driver, address, page, width=width, dark=dark)
    assert browser.js("return [...document.images].every(one => one.complete && one.naturalWidth)")
    # On a narrow screen nothing but tables, code and pictures is moved sideways.
    assert browser.js("return document.documentElement.scrollWidth") <= width
    scheme = browser.js("return document.body.dataset.mdColorScheme")
    assert scheme == ("slate" if dark else "default")
    assert browser.complaints() == []


@pytest.mark.parametrize(
    ("words", "page"),
    [("budgets", "settings/"), ("traced_tool", "api/"), ("leading_silence", "latency/")],
)
def test_the_search_finds(driver: Any, address: str, words: str, page: str) -> None:
    browser = opened(driver, address, "")
    browser.one("input.md-search__input").send_keys(words)
    found = browser.until(
        "const links = [...document.querySelectorAll('.md-search-result__link')].map(a => a.href);"
        "return links.length ? links : null"
    )
    assert any(page in link for link in found)
    assert browser.complaints() == []
