"""The page in a real browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.view.report import render
from view.browser import NEEDS_BROWSER, Browser, look, steps
from view.calls import searching_call, spoken_call
from view.report.report_calls import HOSTILE, long, session, small
from view.tool_calls import background_call, key, keys_call

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = NEEDS_BROWSER

Open = Callable[..., Browser]


@pytest.fixture
def open_page(driver: Any, tmp_path: Path) -> Iterator[Open]:
    browser = Browser(driver)

    def open_(spans: list[Any], link: str = "", width: int = 1440, dark: bool = False) -> Browser:
        path = tmp_path / "call.html"
        path.write_text(render(spans), encoding="utf-8")
        look(driver, width, dark)
        driver.get(path.as_uri() + link)
        browser.until("return document.documentElement.dataset.ready")
        return browser

    yield open_
    assert browser.complaints() == []


def test_it_opens_with_the_slowest_turn_beside_the_timeline(open_page: Open) -> None:
    page = open_page(small())
    assert page.title.startswith("Agent's turn")
    assert page.marked == ["agent1"]
    assert page.js("return location.hash") == "", "nobody chose it: the address stays"


def test_the_time_of_day_is_the_readers(open_page: Open, driver: Any) -> None:
    driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        page = open_page(small())
        when = page.one(".facts").text
        assert "06:31:12 UTC" in when
        assert "(15:31:12 here)" in when
        assert "0:03.000 · 15:31:15 · 3,500" in page.one("[data-details] .sub").text
    finally:
        driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
    page = open_page(small())
    assert "here)" not in page.one(".facts").text


def test_the_length_of_what_the_provider_ran_is_not_known(open_page: Open) -> None:
    page = open_page(searching_call(), link="#t1")
    assert page.marked == ["t1"]
    details = page.one("[data-details]").text
    assert "time not known" in details
    assert "0.0 ms" not in details


def test_the_details_set_apart_what_a_voice_was_given_in_place_of_the_nodes_text(
    open_page: Open,
) -> None:
    spans = spoken_call()
    assert "Given to the voice" not in open_page(spans, link="#p1").one("[data-details]").text
    spans[-1].result["given_text"] = f"On <b>Friday</b>. {HOSTILE}"
    page = open_page(spans, link="#p1")
    assert "Given to the voice" in page.one("[data-details]").text
    assert page.one("[data-details] .given").text.startswith("On <b>Friday</b>.")


def test_the_details_link_a_background_tool_and_its_reports(open_page: Open) -> None:
    page = open_page(background_call(), link="#t1")
    assert "update: found three" in page.one("[data-details] .stream").text
    links = page.js("return [...document.querySelectorAll('.links a')].map(a => a.hash)")
    assert set(links) == {"#a1", "#a2"}
    page = open_page(background_call(), link="#a3")
    assert "reports Tool book" in page.one("[data-details] .links").text


def test_keys_have_a_lane_of_their_own(open_page: Open) -> None:
    tall = "return document.querySelector('[data-lanes]').offsetHeight"
    without = open_page(keys_call()).js(tall)
    pressed = [key(3000 + n, digit) for n, digit in enumerate("12<")]
    assert open_page(keys_call(*pressed)).js(tall) > without


def test_buttons_keys_and_wheel_zoom(open_page: Open) -> None:
    page = open_page(small())
    whole = page.settled()
    page.one("[data-do=in]").click()
    assert _size(page.settled()) == pytest.approx(_size(whole) / 2, rel=0.01)
    stage = page.one("[data-stage]")
    stage.send_keys("+")
    closer = page.settled()
    assert _size(closer) < _size(whole) / 2.5
    stage.send_keys(Keys.ARROW_RIGHT)
    moved = page.settled()
    assert moved[0] > closer[0]
    assert _size(moved) == pytest.approx(_size(closer), rel=0.01)
    stage.send_keys("0")
    assert page.settled() == pytest.approx(whole, abs=1)
    page.js(
        "const r = arguments[0].getBoundingClientRect(); arguments[0].dispatchEvent(new WheelEvent("
        "'wheel', {deltaY: -200, clientX: r.left + 300, clientY: r.top + 90, cancelable: true}))",
        stage,
    )
    assert _size(page.settled()) < _size(whole) * 0.8


def test_dragging_moves_and_selects_nothing(open_page: Open) -> None:
    page = open_page(small())
    page.one("[data-do=in]").click()
    before = page.settled()
    stage = page.one("[data-stage]")
    ActionChains(page.driver).move_to_element(stage).click_and_hold().move_by_offset(
        -120, 0
    ).release().perform()
    after = page.settled()
    assert after[0] > before[0]
    assert page.js("return location.hash") == ""


def test_the_timeline_selects_in_the_conversation(open_page: Open) -> None:
    page = open_page(small())
    page.click_at(1500, "[data-lanes]", 16)
    assert page.title.startswith("Caller's turn")
    assert page.marked == ["user1"]
    assert page.js("return location.hash") == "#user1"
    page.click_at(3300, "[data-voices]", 120)
    assert page.marked == ["agent1"], "the silence before an answer stands for it"


def test_the_conversation_selects_in_the_timeline(open_page: Open) -> None:
    page = open_page(small())
    page.one("[data-stage]").send_keys("+++++++" + Keys.ARROW_RIGHT * 9)
    page.settled()
    page.one("#user1 .at").click()
    assert page.title.startswith("Caller's turn")
    begins, ends = page.settled()
    assert begins < 1000
    assert ends > 3000
    page.one("#tool1 .note-head b").click()
    assert page.title.startswith("Tool look_up_order")
    assert "agent1" not in page.marked
    assert page.marked == ["tool1"]


def test_a_link_opens_a_span(open_page: Open) -> None:
    page = open_page(small(), link="#llm1")
    assert page.title.startswith("LLM")
    assert page.marked == ["agent1"]
    page.js("location.hash = '#user1'")
    page.until("return document.querySelector('[data-details] h2').textContent.includes('Caller')")


def test_a_stream_is_replayed_in_its_own_time(open_page: Open) -> None:
    page = open_page(small(), link="#llm1")
    whole = page.one("[data-details] .flow").text
    assert whole == "Order 42 has shipped. It arrives on Friday."
    speed = "document.querySelector('.replay option:checked').value = arguments[0]"
    page.js(speed, "0")  # so that there is time to look
    page.one("[data-play]").click()
    page.settled()
    assert page.one("[data-details] .flow").text == "", "the first token came after 300 ms"
    page.js(speed, "0.5")
    page.until("return document.querySelectorAll('.flow .c.on').length >= 3")
    page.js(speed, "0")
    page.settled()
    so_far = page.one("[data-details] .flow").text.strip()
    assert so_far and whole.startswith(so_far)
    page.js(speed, "1")
    page.until("return !document.querySelector('.playing')")
    assert page.one("[data-details] .flow").text == whole
    assert page.one("[data-play]").text == "▶ Play"


def test_the_keyboard_goes_everywhere(open_page: Open) -> None:
    page = open_page(small())
    stage = page.one("[data-stage]")
    stage.send_keys(Keys.ESCAPE, ".")
    assert page.title.startswith("Caller's turn")
    stage.send_keys(Keys.ARROW_DOWN)
    assert page.title.startswith("Agent's turn")
    stage.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.title.startswith("LLM")
    assert "LLM, Order 42 has shipped." in page.one("[data-live]").get_attribute("textContent")
    stage.send_keys(Keys.ENTER)
    assert page.js("return document.activeElement.hasAttribute('data-details')")
    page.one("[data-details]").send_keys(Keys.ESCAPE)
    assert page.js("return document.activeElement.hasAttribute('data-stage')")


def test_dark_mode_turns_the_drawing_dark_too(open_page: Open) -> None:
    page = open_page(small(), dark=True)
    look = (
        "const c = document.querySelector('[data-voices]');"
        "const d = c.getContext('2d').getImageData(c.width - 3, 4, 1, 1).data;"
        "return [getComputedStyle(document.body).backgroundColor, d[0] + d[1] + d[2]]"
    )
    background, drawn = page.js(look)
    assert background == "rgb(19, 20, 22)"
    assert drawn < 200
    background, drawn = open_page(small()).js(look)
    assert background == "rgb(247, 246, 242)"
    assert drawn > 600


@pytest.mark.parametrize("width", [390, 768, 905, 1000, 1245, 1440])
def test_the_figures_stay_on_the_page(open_page: Open, width: int) -> None:
    page = open_page(small(), width=width)
    over = page.js(
        "const page = document.querySelector('.facts').getBoundingClientRect().right;"
        "return [...document.querySelectorAll('.figures div')]"
        ".map(e => e.getBoundingClientRect().right - page).filter(by => by > 1)"
    )
    assert over == []


def test_a_phone_sees_all_of_it_without_scrolling_sideways(open_page: Open) -> None:
    page = open_page(small(transcript="x" * 400), width=390)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    assert not page.one("[data-details]").is_displayed(), "until something is chosen"
    page.js("document.querySelector('#user1 .at').click()")
    assert page.one("[data-details]").is_displayed()
    page.one("[data-details] .close").click()
    assert not page.one("[data-details]").is_displayed()


def test_two_fingers_zoom_and_one_moves(open_page: Open) -> None:
    page = open_page(small(), width=390)
    whole = page.settled()
    box = page.js(
        "const c = document.querySelector('[data-lanes]'); c.scrollIntoView({block: 'center'});"
        "const r = c.getBoundingClientRect(); return [r.left, r.top]"
    )

    def touch(kind: str, *at: int) -> None:
        points = [{"x": box[0] + x, "y": box[1] + 50, "id": n} for n, x in enumerate(at)]
        page.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )

    touch("touchStart", 180)
    touch("touchStart", 180, 220)
    for apart in (40, 60, 80):
        touch("touchMove", 180 - apart // 2, 220 + apart // 2)
    touch("touchEnd")
    closer = page.settled()
    assert _size(closer) < _size(whole) * 0.7
    touch("touchStart", 220)
    for x in (200, 170, 140):
        touch("touchMove", x)
    touch("touchEnd")
    moved = page.settled()
    assert moved[0] > closer[0]
    assert _size(moved) == pytest.approx(_size(closer), rel=0.01)


def test_hostile_text_does_nothing(open_page: Open) -> None:
    texts = dict.fromkeys(("transcript", "generated", "spoken", "output", "room", "tool"), HOSTILE)
    page = open_page(small(**texts))
    for made in small():
        page.js("location.hash = '#' + arguments[0]", made.id)
        page.until("return document.querySelector('[data-details] .tree, [data-details] h2')")
        assert page.js("return document.querySelectorAll('script').length") == 3
        assert page.js("return document.querySelectorAll('img').length") == 0
    page.js("location.hash = '#stt1'")
    page.until("return document.querySelector('.ev .ctl')")
    assert "window.pwned = 1" in page.one("[data-details]").text
    assert page.js("return window.pwned") is None


def test_without_scripts_the_words_and_figures_are_there(open_page: Open) -> None:
    open_page(small())
    page = Browser(open_page(small()).driver)
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.driver.refresh()
        text = page.one("body").text
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for said in (
        "Where is my order?",
        "1,970",
        "look_up_order",
        "The timeline is drawn by a script",
    ):
        assert said in text


@pytest.mark.parametrize("spans", [[], [session(None)], small()[1:], small()[4:5]])
def test_a_call_that_is_not_whole_opens(open_page: Open, spans: list[Any]) -> None:
    page = open_page(spans)
    page.one("[data-stage]").send_keys("+", ".", Keys.ARROW_DOWN, "0")


def test_a_two_hour_call_opens_and_moves(open_page: Open, driver: Any) -> None:
    """A turn costs what it costs in a short call; what is not seen costs next to nothing."""

    def work(turns: int) -> tuple[Counter[str], Counter[str]]:
        """The script's steps to open a call of 3.6 s a turn, and to move half a minute of it."""
        with steps(driver) as taken:
            page = open_page(long(turns=turns, seconds=turns * 3.6, chunks=turns * 100))
            assert _size(page.settled()) == pytest.approx(30_000, rel=0.2)
            opened = taken()
            page.one("[data-stage]").send_keys(Keys.ARROW_RIGHT)
            page.settled()
            return opened, taken()

    short, short_moved = work(turns=200)
    whole, moved = work(turns=2000)
    assert whole[""] < 10 * short[""]
    assert whole["sums"] == short["sums"], "chunks are unpacked where they are seen"
    assert moved["draw"] == short_moved["draw"] == 1
    assert moved["drawSpan"] < 2 * short_moved["drawSpan"]
    assert moved[""] < 1.3 * short_moved[""]


def _size(view: tuple[float, float]) -> float:
    return view[1] - view[0]
