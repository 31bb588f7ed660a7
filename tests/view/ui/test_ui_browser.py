"""``prefactor-agent ui`` in a real browser."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.journal.process import this_process
from view.browser import NEEDS_BROWSER, Browser, look
from view.calls import SESSION, ZERO_US, span, spoken_call, unanswered_call
from view.journals import renamed, set_process, write
from view.report.recorded import record
from view.ui.ui_server import Ui

pytestmark = NEEDS_BROWSER


@pytest.fixture
def ui(ui_beside: Ui) -> Ui:
    return ui_beside


@pytest.fixture
def page(driver: Any, ui: Ui) -> Iterator[Browser]:
    look(driver)
    driver.get(ui.address)
    browser = Browser(driver, own=ui.base)
    browser.until("return document.querySelector('[data-state]').textContent === 'live'")
    yield browser
    complaints = browser.complaints()
    driver.get("about:blank")
    assert complaints == []


def shown(page: Browser) -> list[str]:
    return list(page.js("return [...document.querySelectorAll('a.row')].map(a => a.dataset.call)"))


def add(path: Path, *spans: Any) -> None:
    with sqlite3.connect(path) as connection:
        for one in spans:
            connection.execute(
                "INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{}', ?)",
                (
                    *(one.id, one.session_id, one.parent_id, one.type, one.name, one.status),
                    *(one.started_us, one.finished_us, '{"transcript": "One more thing."}'),
                ),
            )
    connection.close()


def test_the_list_follows_the_journal(page: Browser, ui: Ui) -> None:
    assert shown(page) == []
    write(ui.journal, spoken_call())
    page.until("return document.querySelectorAll('a.row').length === 1")
    newer = renamed(unanswered_call(), "01m7zzzz")
    add(ui.journal, *newer)
    page.until("return document.querySelectorAll('a.row').length === 2")


def test_filters_work_as_they_are_set(page: Browser, ui: Ui) -> None:
    write(ui.journal, spoken_call(), renamed([spoken_call()[0]], "quiet"))
    page.until("return document.querySelectorAll('a.row').length === 2")
    page.one("[value=interrupted]").click()
    page.until("return document.querySelectorAll('a.row').length === 1")
    assert shown(page) == [spoken_call()[0].id]
    assert page.js("return location.search") == "?only=interrupted"
    page.one("[name=q]").send_keys("nothing like it")
    page.until("return document.querySelector('main').textContent.includes('No call is like that')")
    assert page.js("return document.activeElement.name") == "q"


def test_from_the_list_to_a_call_and_back(page: Browser, ui: Ui) -> None:
    write(ui.journal, spoken_call())
    page.until("return document.querySelectorAll('a.row').length === 1")
    page.one("a.row").click()
    page.until("return document.documentElement.dataset.ready")
    assert page.title.startswith("Agent's turn")
    page.one("#t1 .note-head b").click()
    assert page.title.startswith("Tool look_up")
    page.one(".brand a").click()
    page.until("return document.querySelectorAll('a.row').length === 1")


def test_the_page_of_a_call_that_runs_follows_it(page: Browser, ui: Ui) -> None:
    write(ui.journal, unanswered_call())
    set_process(ui.journal, this_process())
    page.driver.get(f"{ui.base}/calls/{unanswered_call()[0].id}")
    page.until("return document.documentElement.dataset.ready")
    assert page.one("[data-live-call]").is_displayed()
    add(ui.journal, span("u2", "user_turn", 7000, 8000))
    page.until("return document.body.textContent.includes('One more thing.')")
    # Under the hands of a reader it waits to be asked.
    page.one("#u2 .at").click()
    add(ui.journal, span("u3", "user_turn", 8500, 9000))
    page.until("return !document.querySelector('[data-refresh]').hidden")
    assert page.js("return document.getElementById('u3')") is None
    page.one("[data-refresh]").click()
    page.until("return document.getElementById('u3')")


def test_a_call_is_heard_in_its_page(page: Browser, ui: Ui) -> None:
    assert isinstance(ui.journal, Path)
    write(ui.journal, spoken_call())
    record(ui.journal, SESSION, ZERO_US)
    page.driver.get(f"{ui.base}/calls/{SESSION}")
    page.until("return document.documentElement.dataset.ready")
    page.one("[data-listen]").click()
    page.until("return document.querySelector('[data-sound]').currentTime > 0.1")
    assert page.one("[data-side='0']").is_enabled(), "each side can be muted"
    page.one("#a1 .at").click()  # the agent is heard from 4.4 s on, the recording begins at 0.3 s
    page.until("return document.querySelector('[data-sound]').currentTime > 4.15")
    assert page.js("return document.querySelector('.heard').id") == "a1"
    page.one("[data-listen]").click()
    assert page.js("return document.querySelector('[data-sound]').paused")


def test_a_phone_sees_it_without_scrolling_sideways(page: Browser, ui: Ui) -> None:
    write(ui.journal, spoken_call(), renamed(unanswered_call(), "01m7zzzz"))
    look(page.driver, width=390, dark=True)
    page.driver.get(ui.base)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    background = page.js("return getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(19, 20, 22)"
    assert len(shown(page)) == 2
