"""The recording of a call, played in a real browser. Times are milliseconds of the call; that of
the sound is read from the element that plays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefactor_agent.stored.recording import Recording
from prefactor_agent.view.report import render
from prefactor_agent.view.report.listening import beside, embedded
from view.browser import NEEDS_BROWSER, Browser, look
from view.report.recorded import AGENT_MS, BEGINS_MS, CALLER_MS, record
from view.report.report_calls import long, small

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = NEEDS_BROWSER

CLOSE = 50
"""Milliseconds that the playhead may be from what is heard."""
DEAD_AIR_MS = (CALLER_MS[1], AGENT_MS[0])

_LISTEN = """
  // A meter on each side, behind its gain.
  const make = AudioContext.prototype.createGain;
  window.meters = [];
  AudioContext.prototype.createGain = function () {
    const gain = make.call(this), meter = this.createAnalyser();
    meter.fftSize = 1024;
    gain.connect(meter);
    window.meters.push(meter);
    return gain;
  };
  window.levels = () => window.meters.map(meter => {
    const wave = new Float32Array(meter.fftSize);
    meter.getFloatTimeDomainData(wave);
    return Math.max(...wave.map(Math.abs));
  });
"""


class Player(Browser):
    """The page of a call with a recording."""

    @property
    def heard(self) -> float:
        """The moment that is played, or would be."""
        at = self.js("return document.querySelector('[data-sound]').currentTime")
        return float(at) * 1000 + BEGINS_MS

    @property
    def playhead(self) -> float:
        """Where the line over the voices is."""
        begins, ends = self.settled()
        at, wide = self.js(
            """
            const canvas = document.querySelector('[data-voices]').getBoundingClientRect();
            const line = document.querySelector('.voices .playhead:not(.of-call)');
            const { left, width } = line.getBoundingClientRect();
            return [left + width / 2 - canvas.left, canvas.width];
            """
        )
        return float(begins + (at - 58) / (wide - 58) * (ends - begins))

    @property
    def playing(self) -> bool:
        return not self.js("return document.querySelector('[data-sound]').paused")

    @property
    def lit(self) -> list[str]:
        return list(
            self.js("return [...document.querySelectorAll('.heard')].map(e => e.id || 'silence')")
        )

    @property
    def stage(self) -> Any:
        return self.one("[data-stage]")

    def until_heard(self, ms: float) -> None:
        self.until(
            f"return document.querySelector('[data-sound]').currentTime * 1000 + {BEGINS_MS} > {ms}"
        )

    def until_lit(self, id_: str) -> None:
        self.until(f"return document.getElementById('{id_}').classList.contains('heard')")

    def levels(self) -> list[float]:
        return list(self.js("return window.levels()"))


Open = Callable[..., Player]


def choose_rate(page: Player, rate: float) -> None:
    page.js(
        "const rates = document.querySelector('[data-rate]'); rates.value = arguments[0];"
        "rates.dispatchEvent(new Event('change'))",
        rate,
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("recording") / "j.db")


@pytest.fixture
def open_page(driver: Any, tmp_path: Path, recording: Recording) -> Iterator[Open]:
    player = Player(driver)

    def open_(
        spans: list[Any] | None = None,
        link: str = "",
        width: int = 1440,
        dark: bool = False,
        linked: bool = False,
    ) -> Player:
        path = tmp_path / "call.html"
        sound = beside(path, recording) if linked else embedded(recording)
        path.write_text(render(small() if spans is None else spans, sound=sound), encoding="utf-8")
        look(driver, width, dark)
        driver.get(path.as_uri() + link)
        player.until("return document.documentElement.dataset.ready")
        player.until("return document.querySelector('[data-sound]').readyState > 0")
        player.js(_LISTEN)
        return player

    yield open_
    assert player.complaints() == []
    driver.get("about:blank")


def test_it_plays_and_the_playhead_is_where_the_sound_is(open_page: Open) -> None:
    page = open_page()
    assert page.heard == BEGINS_MS, "where the recording begins"
    page.one("[data-listen]").click()
    page.until_heard(1200)
    apart = page.driver.execute_async_script(
        """
        // In frames, each after the page has moved its line.
        const done = arguments[0], root = document.documentElement, apart = [];
        const audio = document.querySelector('[data-sound]');
        const canvas = document.querySelector('[data-lanes]');
        const line = document.querySelector('.lanes .playhead');
        const look = () => {
          const [from, to] = root.dataset.view.split(' ').map(Number);
          const box = canvas.getBoundingClientRect(), at = line.getBoundingClientRect();
          const share = (at.left + at.width / 2 - box.left - 58) / (box.width - 58);
          apart.push(Math.abs(from + share * (to - from) - audio.currentTime * 1000 - BEGINS_MS));
          apart.length < 20 ? requestAnimationFrame(look) : done(apart);
        };
        requestAnimationFrame(look);
        """.replace("BEGINS_MS", str(BEGINS_MS))
    )
    assert sorted(apart)[10] < CLOSE, "in most frames, as the machine may be busy"
    assert page.lit == ["user1"]
    page.stage.send_keys(Keys.SPACE)
    assert not page.playing
    assert page.one("[data-listen]").text == "▶ Play"
    assert page.playhead == pytest.approx(page.heard, abs=CLOSE)
    stopped = page.heard
    page.one("[data-listen]").click()
    page.until_heard(stopped + 100)
    assert "Pause" in page.one("[data-listen]").text


def test_keys_go_from_turn_to_turn_and_to_dead_air(open_page: Open) -> None:
    page = open_page()
    page.stage.send_keys("n")
    assert page.heard == pytest.approx(CALLER_MS[0], abs=CLOSE)
    assert page.lit == ["user1"]
    page.stage.send_keys("n")
    assert page.heard == pytest.approx(AGENT_MS[0], abs=CLOSE)
    assert page.playhead == pytest.approx(AGENT_MS[0], abs=CLOSE)
    assert page.lit == ["agent1"]
    assert page.title.startswith("Agent's turn")
    page.stage.send_keys("n")
    assert page.heard == pytest.approx(AGENT_MS[0], abs=CLOSE), "there is no other"
    page.stage.send_keys("p")
    assert page.heard == pytest.approx(CALLER_MS[0], abs=CLOSE)
    assert not page.playing
    page.stage.send_keys("l")
    assert page.heard == pytest.approx(CALLER_MS[0] + 5000, abs=CLOSE)
    page.stage.send_keys("j", "j")
    assert page.heard == BEGINS_MS, "not before there is sound"
    page.stage.send_keys("d")
    page.until_heard(DEAD_AIR_MS[0] - 1000)
    assert page.playing
    assert page.heard < DEAD_AIR_MS[0] + 500


def test_keys_are_the_browsers_outside_the_timeline(open_page: Open) -> None:
    page = open_page()
    page.one("body").send_keys("n", "d", Keys.SPACE)
    page.until("return scrollY > 0")
    assert not page.playing
    assert page.heard == BEGINS_MS


def test_a_click_on_the_timeline_goes_there_and_one_on_dead_air_plays_what_led_to_it(
    open_page: Open,
) -> None:
    page = open_page()
    page.click_at(8000, "[data-lanes]", 16)
    assert page.heard == pytest.approx(8000, abs=CLOSE)
    page.click_at(5000, "[data-voices]", 120)
    assert page.heard == pytest.approx(5000, abs=CLOSE)
    assert not page.playing
    page.click_at(3300, "[data-voices]", 120)
    assert page.playing
    assert DEAD_AIR_MS[0] - 1000 - CLOSE < page.heard < DEAD_AIR_MS[0]


@pytest.mark.parametrize("place", [".silence a", ".bars a"])
def test_dead_air_in_the_conversation_and_the_chart_plays_too(open_page: Open, place: str) -> None:
    page = open_page()
    page.js("document.querySelector(arguments[0]).click()", place)
    assert page.playing
    assert DEAD_AIR_MS[0] - 1000 - CLOSE < page.heard < DEAD_AIR_MS[0]


def test_a_turn_is_gone_to_by_a_click_and_played_by_its_time(open_page: Open) -> None:
    page = open_page(link="#agent1")
    assert page.heard == pytest.approx(AGENT_MS[0], abs=CLOSE), "by a link, too"
    page.one("#user1 .said").click()
    assert page.heard == pytest.approx(CALLER_MS[0], abs=CLOSE)
    assert not page.playing
    page.one("#agent1 .at").click()
    assert page.playing
    page.until_lit("agent1")
    page.until("return document.querySelector('[data-sound]').currentTime > 5.2")
    page.until("return !document.querySelector('.heard')")


def test_each_side_can_be_muted(open_page: Open) -> None:
    page = open_page()
    choose_rate(page, 0.1)  # so that the tones last
    page.one("#user1 .at").click()
    page.until("return window.levels()[0] > 0.1")
    assert page.levels()[1] < 0.01, "the agent says nothing"
    page.stage.send_keys("c")
    page.until("return window.levels()[0] < 0.001")
    assert page.playing
    assert page.heard < CALLER_MS[1], "the caller is not over yet"
    assert page.one("[data-side='0']").get_attribute("aria-pressed") == "false"
    page.one("#agent1 .at").click()
    page.until("return window.levels()[1] > 0.1")
    page.one("[data-side='1']").click()
    page.until("return window.levels()[1] < 0.001")
    assert page.heard < AGENT_MS[1]
    page.one("[data-side='0']").click()
    page.one("#user1 .at").click()
    page.until("return window.levels()[0] > 0.1")


def test_it_plays_slower_and_faster(open_page: Open) -> None:
    page = open_page()
    rate = "return document.querySelector('[data-sound]').playbackRate"
    page.stage.send_keys(">", ">")
    assert page.js(rate) == 1.5
    assert page.one("[data-rate]").get_attribute("value") == "1.5"
    page.stage.send_keys("<" * 20)
    assert page.js(rate) == 0.1
    choose_rate(page, 2)
    assert page.js(rate) == 2
    page.stage.send_keys("n", Keys.SPACE)
    page.until_heard(CALLER_MS[0] + 200)
    assert page.js(rate) == 2


def test_the_slider_is_for_those_who_do_not_see_the_timeline(open_page: Open) -> None:
    page = open_page()
    slider = page.one("[data-seek]")
    page.js(
        "arguments[0].value = 6000; arguments[0].dispatchEvent(new Event('input'))",
        slider,
    )
    assert page.heard == pytest.approx(6000, abs=CLOSE)
    assert slider.get_attribute("aria-valuetext") == "0:06.0"


def test_the_chunks_of_a_span_come_as_they_came_while_it_is_played(open_page: Open) -> None:
    page = open_page(link="#llm1")
    whole = page.one("[data-details] .flow").text
    choose_rate(page, 0.25)
    page.one("[data-play]").click()
    page.until("return document.querySelectorAll('.flow .c.on').length >= 3")
    so_far = page.one("[data-details] .flow").text.strip()
    assert so_far and whole.startswith(so_far) and so_far != whole
    choose_rate(page, 2)
    page.until("return !document.querySelector('.playing')")
    assert page.one("[data-details] .flow").text == whole
    assert not page.playing, "the span is over"
    # Its last chunk came after 720 ms.
    assert 3720 < page.heard < 4370
    page.one("#agent1 .said").click()
    page.stage.send_keys(Keys.SPACE)
    assert page.playing, "the rest is heard as before"


def test_the_conversation_scrolls_with_what_is_heard_until_the_reader_goes_elsewhere(
    open_page: Open,
) -> None:
    page = open_page(long(turns=12, seconds=43, chunks=100))
    turns = list(page.js("return [...document.querySelectorAll('li.turn')].map(row => row.id)"))
    choose_rate(page, 2)
    page.js("document.getElementById(arguments[0]).querySelector('.at').click()", turns[0])
    page.until_lit(turns[0])
    # What comes next is below the window.
    page.js(
        "const row = document.getElementById(arguments[0]);"
        "scrollBy(0, row.getBoundingClientRect().bottom - innerHeight + 1)",
        turns[0],
    )
    page.until_lit(turns[1])
    page.until(
        f"const row = document.getElementById('{turns[1]}').getBoundingClientRect();"
        "return row.top > 0 && row.bottom < innerHeight"
    )
    page.js("scrollTo(0, document.body.scrollHeight)")
    away = page.js("return scrollY")
    page.until_lit(turns[2])
    page.settled()
    assert page.js("return scrollY") == away


def test_what_was_kept_off_the_record_is_hatched(open_page: Open) -> None:
    spans = small()
    spans[0].result["moments"] = [
        {"kind": "off_the_record", "at_us": 6_000_000, "until_us": 8_000_000}
    ]
    page = open_page(spans)

    def seen() -> list[float]:
        begins, ends = page.settled()
        left, right = page.js(
            """
            const canvas = document.querySelector('[data-voices]').getBoundingClientRect();
            const band = document.querySelector('.unheard:not(.of-call)').getBoundingClientRect();
            const share = px => (px - canvas.left - 58) / (canvas.width - 58);
            return [share(band.left), share(band.right)];
            """
        )
        return [begins + share * (ends - begins) for share in (left, right)]

    assert seen() == pytest.approx([6000, 8000], abs=20)
    page.one("[data-do=in]").click()
    assert seen() == pytest.approx([6000, min(8000, page.settled()[1])], abs=20)
    page.stage.send_keys("0")
    page.click_at(7000, "[data-lanes]", 16)
    assert page.one("[data-seek]").get_attribute("aria-valuetext") == "0:07.0, off the record"


def test_a_page_from_disk_plays_the_file_beside_it(open_page: Open, tmp_path: Path) -> None:
    page = open_page(linked=True)
    page.one("[data-listen]").click()
    page.until_heard(BEGINS_MS + 200)
    for side in "01":
        button = page.one(f"[data-side='{side}']")
        assert not button.is_enabled()
        assert "--embed-audio" in button.get_attribute("title")
    page.stage.send_keys("c")
    assert page.playing


def test_a_page_says_that_its_recording_is_not_there(
    driver: Any, tmp_path: Path, recording: Recording
) -> None:
    path = tmp_path / "call.html"
    sound = beside(path, recording)
    path.write_text(render(small(), sound=sound), encoding="utf-8")
    (tmp_path / "call.ogg").unlink()
    look(driver)
    driver.get(path.as_uri())
    page = Player(driver)
    page.until("return document.querySelector('[data-trouble]').textContent")
    assert "call.ogg belongs beside this page" in page.one("[data-trouble]").text
    assert not page.one("[data-listen]").is_enabled()
    page.stage.send_keys(Keys.SPACE, "n", "d")
    assert page.title.startswith("Agent's turn"), "the rest of the page works"
    driver.get("about:blank")


def test_without_scripts_the_browsers_own_controls_play_it(driver: Any, open_page: Open) -> None:
    page = open_page()
    assert not page.one("[data-sound]").is_displayed()
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.refresh()
        assert page.one("[data-sound]").is_displayed()
        assert not page.one("[data-player]").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [390, 1440])
def test_the_controls_stay_on_the_page_and_in_sight(open_page: Open, width: int) -> None:
    page = open_page(long(turns=12, seconds=43, chunks=100), width=width, dark=width < 500)
    assert page.js("return document.documentElement.scrollWidth") <= width
    page.js("document.querySelector('.talk li:nth-child(12)').scrollIntoView({block: 'center'})")
    page.settled()
    box = page.js(
        "const b = document.querySelector('[data-player]').getBoundingClientRect();"
        "return [b.top, b.bottom, b.right]"
    )
    assert box[0] >= 0
    assert box[1] < 120
    assert box[2] <= width
