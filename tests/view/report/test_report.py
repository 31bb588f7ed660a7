"""The page of a call, as text: what it says, and that nothing in a call can act on it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefactor_agent.view.report import ReportError, render, write_report
from prefactor_agent.view.report.encoding import deltas, to_block
from prefactor_agent.view.report.view import View
from view.calls import over_budget_call, spoken_call
from view.pickups import picked_up
from view.report.report_calls import HOSTILE, ORIGIN_US, SESSION, long, session, small, span


class Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._raw = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            self.scripts[-1] += data
        elif not self._raw:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[1])


def numbers(text: str) -> list[int]:
    """What the page's script reads from a list of numbers."""
    values, value, shift, total = [], 0, 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            total += value >> 1 if not value & 1 else -((value + 1) >> 1)
            values.append(total)
            value = shift = 0
    return values


# What it says


def test_the_top_says_who_when_how_it_ended_and_what_was_slow() -> None:
    text = Page(render(small())).text
    for said in ("shop_assistant", "kitchen-7", "+49301234 (sip)", "12.0 s", "Nov 2026"):
        assert said in text
    assert "the caller left" in text
    # From 2.4 s, the caller's last sound, to 4.2 s and 170 ms of the voice's silence.
    assert "Turn 1 was the slowest: after Where is my order? the caller heard 1,970 ms of" in text
    assert re.search(r"first audio to playback", text)
    assert "Interruptions 1" in text
    assert "Tool calls 1 1 failed" in text
    assert "Errors 2" in text


def test_the_conversation_sets_apart_what_was_never_spoken() -> None:
    text = Page(render(small())).text
    assert (
        "Order 42 has cut off after 1.25 s of playback; never spoken: shipped. It arrives" in text
    )
    assert text.index("Where is my order?") < text.index("look_up_order") < text.index("Order 42")
    assert "APIError" in text
    assert "retried" in text


def test_what_was_cut_off_before_it_was_heard_says_so() -> None:
    spans = small(spoken="")
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["playback_position_s"] = 0.0
    assert "cut off before it was heard; never spoken: Order 42" in Page(render(spans)).text


def test_beside_the_words_stands_how_sure_and_how_late() -> None:
    spans = small()
    user = next(made for made in spans if made.id == "user1")
    user.result["confidence"] = 0.87
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["barge_in_ms"] = 412.6
    text = Page(render(spans)).text
    assert "87% sure" in text
    assert re.search(r"spoke on for 413\sms", text)


def test_a_failed_tool_tells_the_kind_of_error() -> None:
    assert "error ToolError: shipped" in Page(render(small())).text


def test_words_changed_on_their_way_to_the_voice_are_not_called_unspoken() -> None:
    view = View(
        [
            session(),
            span(
                "livekit:assistant_turn",
                0,
                10,
                id="a",
                result={"generated_text": "Dr. Who", "spoken_text": "Doctor Who"},
            ),
        ]
    )
    assert view.conversation[0].unsaid == ""  # type: ignore[union-attr]


def test_the_stages_sum_to_the_dead_air() -> None:
    (gap,) = View(small()).silences.all
    assert gap.ms == 1970
    assert sum(stage.ms for stage in gap.stages) == pytest.approx(gap.ms)
    assert all(stage.ms > 0 for stage in gap.stages)
    assert gap.derived


def test_measured_latency_is_preferred() -> None:
    spans = small()
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["latency"] = {
        "perceived_ms": 1500.5,
        "stages": [{"name": "llm_ttft", "ms": 1000.0}, {"name": "unattributed", "ms": 500.5}],
        "basis": "audio",
    }
    (gap,) = View(spans).silences.all
    assert (gap.ms, gap.derived) == (1500.5, False)
    page = Page(render(spans))
    assert "LLM to first token took 1,000 ms of it (67 %)" in page.text
    assert page.data["gaps"][0][4] == [[0, 1000.0], [1, 500.5]]


def test_budgets_are_drawn_and_what_is_over_one_is_marked() -> None:
    page = Page(render(over_budget_call()))
    assert "budget 1,500 ms" in page.text
    assert "over budget: dead air 2,400 ms of 1,500 ms, tool look_up" in page.text
    (line,) = [a for tag, a in page.tags if tag == "line" and a.get("class") == "budget"]
    assert line["x1"] == "600.0", "of 1,000 parts, on an axis of 2,500 ms"
    over = [a for tag, a in page.tags if tag == "rect" and "over" in (a["class"] or "").split()]
    assert {(a["x"], a["width"]) for a in over} == {("400.0", "400.0")}, (
        "the tool's part of the bar"
    )
    assert "1 over budget" in page.text
    assert "budget" not in Page(render(spoken_call())).text


def test_the_axis_has_room_for_the_budget() -> None:
    spans = over_budget_call()
    spans[0].payload["budgets"] = {"perceived": 9.0}
    (line,) = [a for t, a in Page(render(spans)).tags if t == "line" and a.get("class") == "budget"]
    assert float(line["x1"] or 0) <= 1000


def test_stages_stand_in_the_order_in_which_they_follow_each_other() -> None:
    names = (
        "unattributed",
        "leading_silence",
        "tts_ttfb",
        "llm_ttft_2",
        "tool:look_up",
        "llm_queue_2",
        "llm_ttft",
        "somebodys_own",
        "vad",
        "llm_queue",
    )
    spans = small()
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["latency"] = {
        "perceived_ms": 10,
        "stages": [{"name": name, "ms": 1} for name in names],
    }
    assert View(spans).silences.stage_names == [
        "vad",
        "llm_queue",
        "llm_ttft",
        "tool:look_up",
        "llm_queue_2",
        "llm_ttft_2",
        "tts_ttfb",
        "leading_silence",
        "unattributed",
        "somebodys_own",
    ]
    assert "LLM to first token (2)" in Page(render(spans)).text


@pytest.mark.parametrize(
    ("basis", "begins"), [("audio", 2_400_000), ("vad_end", 2_800_000), ("vad", 2_300_000)]
)
def test_the_dead_air_begins_where_its_measure_does(basis: str, begins: int) -> None:
    spans = small()
    user = next(made for made in spans if made.id == "user1")
    user.result["moments_us"]["vad_estimate"] = 2_300_000
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["user_turn_id"] = "user1"
    measured = {"perceived_ms": 2000, "stages": [], "basis": {"from": basis, "to": "audio"}}
    turn.result["latency"] = measured
    assert View(spans).silences.all[0].begins_us == ORIGIN_US + begins


def test_early_work_makes_no_stage_negative() -> None:
    spans = small()
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["moments_us"]["user_vad_ended"] = 1_000_000
    turn.result["moments_us"]["user_committed"] = 9_000_000
    (gap,) = View(spans).silences.all
    assert all(stage.ms > 0 for stage in gap.stages)
    assert sum(stage.ms for stage in gap.stages) == pytest.approx(gap.ms)


def test_the_agents_voice_is_placed_where_it_was_played_and_cut_where_it_was_cut() -> None:
    (run,) = View(small()).agent
    assert run.begins_us == 4_200_000 + 170_000, "after the silence that the voice begins with"
    assert run.ends_us == 4_200_000 + 1_250_000
    assert run.levels[0] > 0


def test_pauses_of_the_playback_are_pauses_of_the_voice() -> None:
    spans = small()
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["pauses"] = [
        {"at_us": 4_700_000, "state": "paused"},
        {"at_us": 4_900_000, "state": "false_interruption"},
        {"at_us": 5_000_000, "state": "resumed"},
    ]
    turn.result["gaps"] = [{"at_us": 5_200_000, "ms": 100.0, "cause": "tts"}]
    runs = View(spans).agent
    assert [(run.begins_us, run.ends_us) for run in runs] == [
        (4_370_000, 4_700_000),
        (5_000_000, 5_200_000),
        (5_300_000, 5_850_000),
    ]


def test_two_segments_share_the_audio_of_one_stream() -> None:
    spans = small()
    turn = next(made for made in spans if made.id == "agent1")
    turn.result["segments"] = [
        {"started_us": 4_200_000, "position_s": 1.0},
        {"started_us": 6_000_000, "position_s": 0.5},
    ]
    runs = View(spans).agent
    assert [(run.begins_us, run.us) for run in runs] == [
        (4_370_000, 830_000),
        (6_000_000, 500_000),
    ]


def test_what_failed_has_its_stack_below_it() -> None:
    words = Page(render(small())).text
    assert re.search(r"stack\s*agent\.py:9 in ", words)


# What strangers wrote


def test_hostile_text_shows_itself_and_does_nothing() -> None:
    everywhere = dict.fromkeys(
        ("transcript", "generated", "spoken", "output", "room", "tool"), HOSTILE
    )
    text = render(small(**everywhere))
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on") or a == "style"]
    assert "window.pwned = 1" in page.text
    assert "{{ 7 * 7 }}" in page.text
    for acting in "\u2028\u2029\u202e\u202c\u2066\x00\x07\x1b\x7f\x85\ufeff":
        assert acting not in text, f"U+{ord(acting):04X}"
    for name in ("LSEP", "RLO", "DEL", "NUL", "ESC", "U+0085"):
        assert name in page.text
    details = json.dumps(page.data, ensure_ascii=False)
    assert "</script><script>" in details, "the details keep what was said"
    text.encode("utf-8")


def test_json_in_the_page_holds_nothing_that_ends_a_script() -> None:
    block = to_block({"</script>": "<!--<script>&\u2028\u2029"})
    assert not re.search("[<>&\u2028\u2029]", block)
    assert json.loads(block) == {"</script>": "<!--<script>&\u2028\u2029"}


def test_the_policy_allows_the_pages_own_script_and_style_only() -> None:
    page = Page(render(small()))
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    linked = [a for t, a in page.tags if t == "link" or "src" in a]
    assert [a.get("href") for a in linked] == ["data:,"]


def test_a_key_of_the_users_cannot_pass_for_a_reference() -> None:
    spans = small()
    spans[1].payload["metadata"] = {"$s": 0, "$l": [1], "plain": "x" * 40}
    packed = Page(render(spans)).data["details"][1][0]["metadata"]
    assert packed["$$s"] == 0
    assert packed["$$l"] == [1]
    assert "$s" in packed["plain"]


def test_chunks_survive_being_packed() -> None:
    text = "zażółć \U0001f600 gęślą"
    spans = small(generated=text)
    page = Page(render(spans)).data
    stream = next(s for s in page["streams"] if s[2] == "text")
    assert numbers(stream[4]) != []
    assert page["strings"][stream[6]] == text
    assert [at * page["tick_us"] for at in numbers(stream[4])][:2] == [300_000, 360_000]
    assert numbers(deltas([5, 5, 3, 2**40])) == [5, 5, 3, 2**40]


# Calls that are not whole


def broken() -> dict[str, list[Any]]:
    turn = span("livekit:assistant_turn", 10, None, id="a", payload={"turn_index": 1})
    llm = span(
        "livekit:llm",
        20,
        None,
        id="l",
        parent="a",
        result={"streams": {"output": {"kind": "text", "offset_us": [9], "text": ["Half a"]}}},
    )
    audio = {"kind": "audio", "offset_us": [9_000], "size": [480], "dbfs": [-20]}
    tts = span("livekit:tts", 20, None, id="t", parent="a", result={"streams": {"audio": audio}})
    return {
        "nothing": [],
        "one span": [span("livekit:llm", 0, 5, id="l", parent=None)],
        "one open span": [session(None)],
        "without turns": [session()],
        "killed": [session(None), turn, llm, tts],
        "missing session": small()[1:],
        "missing parents": [replace(made, parent_id="gone") for made in small()[1:]],
        "parents in a circle": [
            replace(made, parent_id=small()[i - 1].id) for i, made in enumerate(small())
        ],
        "its own parent": [replace(made, parent_id=made.id) for made in small()],
        "nonsense": [
            session(),
            span(
                "livekit:assistant_turn",
                5,
                5,
                id="a",
                payload={"turn_index": "x", "source": 7},
                result={
                    "moments_us": {"created": "soon", "user_speech_ended": None},
                    "segments": [1],
                    "latency": {"perceived_ms": float("nan"), "stages": "none"},
                    "error": 5,
                    "pauses": {"at_us": 1},
                    "spoken_text": 9,
                    "streams": {"audio": []},
                },
            ),
            span(
                "livekit:tts",
                5,
                5,
                id="t",
                parent="a",
                result={"streams": {"audio": {"offset_us": [1], "size": [], "dbfs": []}}},
            ),
            span("somebody:else", 5, 5, id="o"),
        ],
    }


@pytest.mark.parametrize("name", broken())
def test_a_call_that_is_not_whole_has_a_page(name: str) -> None:
    spans = broken()[name]
    page = Page(render(spans))
    assert len(page.data["ids"]) == len(spans)
    assert "Traceback" not in page.text


def test_a_killed_call_shows_the_words_that_were_kept() -> None:
    text = Page(render(broken()["killed"], now_us=ORIGIN_US + 60_000_000)).text
    assert "Half a" in text
    assert "still running" in text
    text = Page(render(broken()["killed"], now_us=ORIGIN_US + 3_600_000_000)).text
    assert "no end was recorded: its process died" in text


def test_what_has_no_turn_is_told_between_the_turns() -> None:
    spans = [made for made in small() if made.type != "livekit:assistant_turn"]
    text = Page(render(spans)).text
    assert "look_up_order" in text
    assert "APIError" in text


# Writing it


class _Journal:
    def __init__(self, spans: list[Any]) -> None:
        self.call = lambda session_id: spans if session_id == SESSION else []
        self.alive = lambda session_id: None
        self.recording = lambda session_id: None


def test_it_is_written_to_the_path(tmp_path: Path) -> None:
    path = tmp_path / "call.html"
    write_report(_Journal(small()), SESSION, path)  # type: ignore[arg-type]
    assert path.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("where", ["missing/call.html", "."])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path, where: str) -> None:
    with pytest.raises(ReportError, match="cannot be written") as caught:
        write_report(_Journal(small()), SESSION, tmp_path / where)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_unknown_call_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no call has the id"):
        write_report(SimpleNamespace(call=lambda _: []), "x", tmp_path / "x")  # type: ignore[arg-type]


def test_half_an_hour_is_at_most_3_mb() -> None:
    page = render(long(turns=500, seconds=1800, chunks=90_000))
    assert len(page.encode()) < 3_000_000


def test_the_pickup_is_on_the_page() -> None:
    first, *rest = spoken_call()
    root = replace(
        first,
        payload={**first.payload, "budgets": {"pickup": 1.5}},
        result={**first.result, "pickup": picked_up(over_budget={"pickup": 2.0})},
    )
    page = Page(render([root, *rest]))
    words = page.text.replace("\u202f", " ")
    assert "2,000 ms from the caller's arrival to the first sound, 800 ms of it waiting" in words
    assert "over its budget of 1,500 ms" in words
    bars = [attrs for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs]
    assert ["dispatch: 200 ms" in str(one["aria-label"]) for one in bars].count(True) == 1
    spoke_first = replace(root, result={**root.result, "pickup": picked_up(until="caller")})
    assert "to their own first word" in Page(render([spoke_first, *rest])).text
    assert "arrival" not in Page(render([first, *rest])).text
