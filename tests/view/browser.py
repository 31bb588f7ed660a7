"""A page in a real browser: headless Chromium with the driver of the same package."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.waiting import PATIENCE

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
DRIVER = shutil.which("chromedriver")

NEEDS_BROWSER = pytest.mark.skipif(
    (CHROMIUM is None or DRIVER is None) and os.environ.get("PREFACTOR_TEST_BROWSER") != "required",
    reason="no Chromium with its chromedriver: apt-get install chromium chromium-driver",
)


class Browser:
    """One page. ``own``: what its addresses begin with."""

    def __init__(self, driver: Any, own: str = "file:///") -> None:
        self.driver, self.own = driver, own

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def until(self, script: str) -> Any:
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02)
        return wait.until(lambda _: self.js(script))

    @property
    def view(self) -> tuple[float, float]:
        begins, ends = self.js("return document.documentElement.dataset.view").split()
        return float(begins), float(ends)

    def settled(self) -> tuple[float, float]:
        """The view, when everything that was asked for has been drawn."""
        # What comes in during a frame is drawn in the one after it, at the latest.
        self.driver.execute_async_script(
            "const done = arguments[0], frame = requestAnimationFrame; frame(() => frame(done))"
        )
        return self.view

    @property
    def title(self) -> str:
        return str(self.one("[data-details] h2").text)

    @property
    def marked(self) -> list[str]:
        return list(
            self.js(
                "return [...document.querySelectorAll('.talk [aria-current]')]"
                ".map(e => e.dataset.span)"
            )
        )

    def click_at(self, ms: float, canvas: str, y: float) -> None:
        """Click the timeline at a moment of the call."""
        begins, ends = self.settled()
        box = self.js(
            "const c = document.querySelector(arguments[0]); c.scrollIntoView({block: 'center'});"
            "const r = c.getBoundingClientRect(); return [r.left, r.top, r.width]",
            canvas,
        )
        gutter = 46 if box[2] < 520 else 58
        x = box[0] + gutter + (ms - begins) / (ends - begins) * (box[2] - gutter)
        for kind in ("mousePressed", "mouseReleased"):
            self.driver.execute_cdp_cmd(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": x, "y": box[1] + y, "button": "left", "clickCount": 1},
            )

    def complaints(self) -> list[str]:
        """Errors on the console, and requests for anything but the page itself."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith((self.own, "data:")):
                    found.append(f"request: {url}")
        return found


@contextmanager
def steps(driver: Any) -> Iterator[Callable[[], Counter[str]]]:
    """What is given back tells what the page's own script did since it was last asked: how often
    each function was called, and, under ``""``, how often all of its blocks together were run. V8
    counts it, and so it is the same on every machine."""
    cdp = driver.execute_cdp_cmd
    cdp("Profiler.enable", {})
    cdp("Profiler.startPreciseCoverage", {"callCount": True, "detailed": True})

    def taken() -> Counter[str]:
        found: Counter[str] = Counter()
        for script in cdp("Profiler.takePreciseCoverage", {})["result"]:
            if script["url"] != driver.current_url.partition("#")[0]:
                continue  # the driver's own
            for function in script["functions"]:
                counts = [block["count"] for block in function["ranges"]]
                found[""] += sum(counts)
                if function["functionName"]:
                    found[function["functionName"]] += counts[0]
        return found

    yield taken
    cdp("Profiler.stopPreciseCoverage", {})
    cdp("Profiler.disable", {})


def start(folder: Path) -> Any:
    """A driver with a browser of its own, whose profile is in a folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--autoplay-policy=no-user-gesture-required",  # a key that the driver sends is no gesture
        "--window-size=1440,900",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the path given, Selenium looks for no driver and downloads none.
    made = webdriver.Chrome(options=options, service=Service(DRIVER))
    return made


def look(driver: Any, width: int = 1440, dark: bool = False) -> None:
    """Choose the window and the colours of what is opened next."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")
