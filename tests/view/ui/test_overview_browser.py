"""The overview in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from view.browser import NEEDS_BROWSER, Browser, look
from view.journals import write
from view.ui.test_overview import NEW, OLD
from view.ui.ui_server import Ui

pytestmark = NEEDS_BROWSER
QUERY = "/overview?period=all"


@pytest.fixture
def page(driver: Any, ui_beside: Ui) -> Iterator[Browser]:
    write(ui_beside.journal, *OLD, *NEW)  # type: ignore[arg-type]  # it is a journal
    look(driver)
    driver.get(ui_beside.address)
    driver.get(ui_beside.base + QUERY)
    browser = Browser(driver, own=ui_beside.base)
    yield browser
    complaints = browser.complaints()
    driver.get("about:blank")
    assert complaints == []


def press(page: Browser, *keys: str) -> None:
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def focused(page: Browser) -> str:
    return str(page.js("return document.activeElement.getAttribute('aria-label') || ''"))


def test_the_worst_turn_opens_its_call_at_that_turn(page: Browser) -> None:
    page.one(".worst a").click()
    page.until("return document.documentElement.dataset.ready")
    assert page.js("return location.pathname + location.hash") == "/calls/11a#11a-a1"
    assert page.marked == ["11a-a1"]


def test_a_choice_is_shown_as_it_is_made(page: Browser) -> None:
    page.js(
        "const s = document.querySelector('[name=version]'); s.value = 'v2';"
        "s.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    page.until("return new URLSearchParams(location.search).get('version') === 'v2'")
    assert page.one("dd data").text == "12"
    assert page.js("return location.search") == "?period=all&version=v2"


def test_dates_are_asked_for_when_they_are_wanted(page: Browser) -> None:
    assert not page.one("[name=begin]").is_displayed()
    page.js(
        "const s = document.querySelector('[name=period]'); s.value = 'dates';"
        "s.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    assert page.one("[name=begin]").is_displayed()
    page.js("document.querySelector('[name=begin]').value = '2026-12-11T00:00'")
    page.one("button").click()
    page.until("return location.search.includes('begin=2026-12-11T00')")
    assert page.one("dd data").text == "12"


def test_the_intervals_follow_the_page(page: Browser, ui_beside: Ui) -> None:
    page.driver.get(f"{ui_beside.base}{QUERY}&against=v1&version=v2")
    page.until("return !document.querySelector('[data-sure]')")
    row = page.one("[data-row='dead air/perceived/p95_ms']")
    minus = "\N{MINUS SIGN}"
    assert f"{minus}210 ms" in row.text and f" to {minus}" in row.text
    assert "good" in row.get_attribute("class").split()
    assert page.one("[data-status]").text == ""


def test_the_keyboard_reaches_each_point_and_opens_it(page: Browser) -> None:
    points = page.js("return document.querySelectorAll('#dead-t')[0].closest('figure')"
                     ".querySelectorAll('.point').length")  # fmt: skip
    assert points == 24
    page.js("document.querySelector('[data-points] .point[tabindex=\"0\"]').focus()")
    assert ", 2 turns: median" in focused(page)
    newest = focused(page)
    press(page, Keys.ARROW_RIGHT)
    assert focused(page) == newest
    press(page, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert focused(page).startswith("Sun 20 Dec 2026, 2 turns")
    says = page.js(
        "return getComputedStyle(document.activeElement.querySelector('.says')).visibility"
    )
    assert says == "visible"
    press(page, Keys.HOME)
    assert focused(page).startswith("Sat 21 Nov 2026, 2 turns: median 950 ms, p95 1,000 ms")
    press(page, Keys.ENTER)
    page.until("return location.search.includes('begin=2026-11-21')")
    assert page.one("dd data").text == "1"


def test_a_reader_of_the_screen_hears_what_a_picture_shows(page: Browser) -> None:
    named = page.js(
        "return [...document.querySelectorAll('svg:not([aria-hidden] svg):not([aria-hidden])')]"
        ".filter(s => !s.closest('[aria-hidden]'))"
        ".map(s => [s.getAttribute('role'), s.getAttribute('aria-label')])"
    )
    assert named and all(role and label for role, label in named)
    tables = page.js(
        "return [...document.querySelectorAll('table')].map(t =>"
        "t.querySelectorAll('th[scope=col]').length > 0 &&"
        "[...t.tBodies[0].rows].every(r => r.querySelector('th[scope=row]')))"
    )
    assert tables and all(tables)
    page.one("details summary").click()
    assert page.one("details table").is_displayed()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_sees_it_without_scrolling_sideways(
    page: Browser, ui_beside: Ui, dark: bool
) -> None:
    look(page.driver, width=390, dark=dark)
    page.driver.get(f"{ui_beside.base}{QUERY}&against=v1")
    page.until("return !document.querySelector('[data-sure]')")
    assert page.js("return document.documentElement.scrollWidth") <= 390
    background = page.js("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(19, 20, 22)" if dark else "rgb(247, 246, 242)")
    smallest = page.js(
        "return Math.min(...[...document.querySelectorAll('svg text')]"
        ".map(t => parseFloat(getComputedStyle(t).fontSize)))"
    )
    assert smallest >= 11, "a picture that fits a phone has text that can be read there"


def test_it_needs_no_script(page: Browser, ui_beside: Ui) -> None:
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.driver.get(f"{ui_beside.base}{QUERY}&against=v1")
        page.one("noscript a").click()
        assert page.driver.current_url.endswith("&sure=1")
        assert "\N{MINUS SIGN}210 ms" in page.one(".differences").text
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
