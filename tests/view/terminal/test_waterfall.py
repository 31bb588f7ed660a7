from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.model.bars import turn_bars
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.silences import silences
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.terminal.glyphs import ASCII, UNICODE, Glyphs, glyphs_for
from prefactor_agent.view.terminal.waterfall import LEAST_WIDTH, export_svg, waterfall
from view.calls import (
    SESSION,
    over_budget_call,
    session,
    span,
    spoken_call,
    task_call,
    unanswered_call,
    us,
)

FIRST_COLUMN = 16


def drawn(spans: Sequence[StoredSpan], width: int = 80, glyphs: Glyphs = UNICODE) -> list[str]:
    return [line.plain for line in waterfall(spans, width, glyphs, now_us=us(20_000))]


def row(lines: Sequence[str], label: str, nth: int = 0) -> str:
    """The nth row of bars with this label in the (only) turn."""
    turn = next(i for i, line in enumerate(lines) if "turn 1 at" in line)
    found = [line for line in lines[turn:] if line[2:].startswith(f"{label} ") and "“" not in line]
    return found[nth]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_stage_stands_where_its_time_is(width: int) -> None:
    spans = spoken_call()
    call = build(spans)
    begin, end = turn_bars(call, call.turns[0], silences(call).of(call.turns[0])).window
    bars = width - FIRST_COLUMN - 21
    lines = drawn(spans, width)

    def column(ms: float) -> int:
        return FIRST_COLUMN + (us(ms) - begin) * bars // (end - begin)

    for label, nth, from_ms, until_ms in [
        ("vad", 0, 2000, 2400),
        ("stt", 0, 2400, 2500),
        ("endpointing", 0, 2500, 2600),
        ("llm", 0, 2600, 3000),
        ("look_up", 0, 3000, 4000),
        ("llm", 1, 4000, 4200),
        ("tts", 0, 4200, 4400),
    ]:
        line = row(lines, label, nth)
        begun, after = line.index("█"), line.rindex("█") + 1
        assert begun == column(from_ms), line
        assert after == max(column(until_ms), begun + 1) or line[after - 1 : after + 1] == "█┃"

    # The marks of the first token and the first byte, and what streams after them.
    assert row(lines, "llm", 1).index("┃") == column(4200)
    assert row(lines, "tts").index("┃") == column(4400)
    assert row(lines, "agent").find("▇") == column(4400)
    silence = row(lines, "dead air")
    assert (silence.index("├"), silence.index("┤") + 1) == (column(2000), column(4400))


def test_the_silence_takes_a_good_part_of_the_width_however_long_the_speech() -> None:
    spans = spoken_call()
    long = {**spans[1].result["moments_us"], "speech_started": -59_000_000}
    spans[1] = replace(
        spans[1], started_us=us(-59_000), result={**spans[1].result, "moments_us": long}
    )
    line = row(drawn(spans), "dead air")
    assert line.rindex("┤") - line.index("├") >= 20
    assert row(drawn(spans), "caller")[FIRST_COLUMN] == "◂"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_numbers_stand_right(width: int) -> None:
    lines = drawn(spoken_call(), width)
    for label, number in [("dead air", "2.40 s"), ("look_up", "1.00 s"), ("tts", "600 ms")]:
        line = row(lines, label)
        assert len(line) == width
        assert line.endswith(number)
    assert "ttft 200 ms" in row(lines, "llm", 1)
    assert "ttfb 200 ms" in row(lines, "tts")


def test_the_heading_names_the_slowest_stage() -> None:
    lines = drawn(spoken_call())
    heading = next(line for line in lines if "turn 1" in line and "──" in line)
    assert heading.endswith("2.40 s of dead air, 1.00 s of it look_up · interrupted")
    assert "Turn 1 was the slowest: tool look_up took 1.00 s of its 2.40 s" in lines


def test_what_was_cut_off_before_it_was_heard_ended_no_silence() -> None:
    spans = spoken_call()
    spans[3].result.update(spoken_text="", playback_position_s=0.0)
    spans[3].result["segments"][0]["position_s"] = 0.0
    lines = drawn(spans)
    assert any("cut off by the caller before it was heard" in line for line in lines)
    assert not any("dead air:" in line or "s of dead air" in line for line in lines)
    assert not any(line.startswith("  agent") and "▇" in line for line in lines)
    assert summarize(build(spans)).worst_ms is None


def test_one_silence_has_no_median() -> None:
    assert "dead air: worst 2.40 s" in drawn(spoken_call())
    assert "dead air: median 500 ms, worst 700 ms" in drawn(task_call())


def test_a_turn_over_budget_is_marked() -> None:
    lines = drawn(over_budget_call())
    assert any(line.endswith("0 errors · 1 over budget") for line in lines)
    told = [
        line.split("over budget", 1)[1].strip() for line in lines if line[2:].startswith("over")
    ]
    assert told == ["dead air 2.40 s of 1.50 s", "tool look_up 1.00 s of 500 ms"]
    (turn,) = outline(over_budget_call())["turns"]
    assert turn["over_budget"] == {"perceived": 2400.0, "tool:look_up": 1000.0}
    assert not any("over budget" in line for line in drawn(spoken_call()))


def test_a_turn_fits_80_columns() -> None:
    lines = drawn(spoken_call())
    start = next(i for i, line in enumerate(lines) if "turn 1 at" in line)
    assert "\n".join(lines[start:]) == (Path(__file__).parent / "at_80.txt").read_text().rstrip()


@pytest.mark.parametrize("width", [10, 60, 61, 80, 99, 120, 250])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_terminal(width: int, glyphs: Glyphs) -> None:
    for line in drawn([*spoken_call(), *_hostile()], width, glyphs):
        assert cell_len(line) <= max(width, LEAST_WIDTH), line


def test_what_a_narrow_terminal_has_no_room_for_goes_on_the_next_line() -> None:
    lines = drawn(spoken_call(), 60)
    start = next(i for i, line in enumerate(lines) if "turn 1 at" in line)
    assert lines[start].endswith("──")
    assert lines[start + 1].strip() == "2.40 s of dead air, 1.00 s of it look_up · interrupted"
    slowest = next(i for i, line in enumerate(lines) if "was the slowest" in line)
    told = "Turn 1 was the slowest: tool look_up took 1.00 s of its 2.40 s"
    assert " ".join(lines[slowest : slowest + 2]) == told
    assert "  ┊ dead air begins, ends" in lines
    assert "Concierge · room lobby · 21 Nov 2026 06:31:12 UTC · 10.0 s" in lines


def test_unspoken_text_and_the_cut_are_shown_without_colours() -> None:
    lines = drawn(spoken_call())
    cut = next(i for i, line in enumerate(lines) if "cut off by the caller" in line)
    assert "“It ships on Friday.”" in lines[cut - 1]
    assert "after 2.00 s of playback" in lines[cut]
    assert lines[cut + 1].split(maxsplit=2) == ["never", "said", "“Anything else?”"]


def test_it_says_who_cut_an_answer_off() -> None:
    spans = spoken_call()
    spans[3].result["interrupted_by"] = "program"
    told = "cut off by the program after 2.00 s of playback"
    assert told in [line.strip() for line in drawn(spans)]


def test_tool_input_and_result_are_on_one_line() -> None:
    lines = drawn(spoken_call())
    assert any(line.strip() == 'order="42" → "Friday"' for line in lines)


def test_failed_tool_is_red_with_its_message() -> None:
    spans = spoken_call()
    error = {"error_type": "ToolError", "message": "no such order"}
    spans[5] = replace(spans[5], status="failed", result={"outcome": "tool_error", "error": error})
    lines = list(waterfall(spans, 80))
    told = next(line for line in lines if "ToolError" in line.plain)
    assert told.plain.strip() == 'order="42" ✗ ToolError: no such order'
    red = {told.plain[s.start : s.end].strip() for s in told.spans if "red" in str(s.style)}
    assert "ToolError: no such order" in red
    assert "failed" in row([line.plain for line in lines], "look_up")


def test_below_what_failed_stands_where_it_was_raised() -> None:
    stack = "agent.py:40 in Shop.order\nshop/orders.py:12 in find"
    error = {"error_type": "KeyError", "message": "42", "stacktrace": stack}
    spans = spoken_call()
    spans[5] = replace(spans[5], status="failed", result={"outcome": "exception", "error": error})
    failed = span("e", "error", 4300, 4300, "p1", status="failed", payload=error)
    lines = [line.strip() for line in drawn([*spans, replace(failed, result={"error": error})])]
    for said in ('order="42" ✗ KeyError: 42', "✗ KeyError: 42"):
        assert lines[lines.index(said) + 1] == "at shop/orders.py:12 in find"


def test_error_stands_below_the_stage_that_it_happened_in() -> None:
    error = span(
        "e",
        "error",
        4300,
        4300,
        "p1",
        status="failed",
        payload={"source": "TTS", "error_type": "APIError", "message": "429 " + "slow " * 60},
    )
    lines = drawn([*spoken_call(), error])
    below = lines[lines.index(row(lines, "tts")) + 1]
    assert below.strip().startswith("✗ TTS: APIError: 429 slow")
    assert sum("slow slow" in line for line in lines) == 3, "a long message is cut"


def test_errors_outside_of_turns_are_not_lost() -> None:
    error = span("e", "error", 500, 500, payload={"source": "stt_node", "message": "gone"})
    assert any("✗ stt_node: gone at 0:00.5" in line for line in drawn([*spoken_call(), error]))


def test_dropped_answer_is_dim_and_says_so() -> None:
    dropped = [
        span(
            "d",
            "assistant_turn",
            2300,
            2500,
            result={"preemptive": "dropped", "generated_text": "Hm.", "interrupted": True},
        ),
        span("dl", "llm", 2300, 2500, "d", status="cancelled"),
    ]
    (turn,) = outline([*spoken_call(), *dropped])["turns"]
    assert [stage["dropped"] for stage in turn["stages"] if stage["stage"] == "llm"].count(
        True
    ) == 1
    lines = list(waterfall([*spoken_call(), *dropped], 80))
    assert any(line.plain.split() == ["dropped", "“Hm.”"] for line in lines)
    bar = next(line for line in lines if line.plain.endswith("dropped   200 ms"))
    assert all("dim" in str(s.style) for s in bar.spans if bar.plain[s.start : s.end].strip())


def test_pauses_are_not_played() -> None:
    spans = spoken_call()
    result = dict(spans[3].result)
    result["pauses"] = [{"at_us": 5_000_000, "state": "paused"}]
    spans[3] = replace(spans[3], result=result)
    assert row(drawn(spans), "agent").endswith("600 ms")


def test_a_typed_turn_waits_for_its_first_word() -> None:
    text = {
        "kind": "text",
        "count": 1,
        "first_us": 0,
        "offset_us": [0],
        "size": [2],
        "text": ["Hi"],
    }
    lines = drawn(
        [
            session(100),
            span("u", "user_turn", 5, 5, payload={"modality": "text"}, result={"transcript": "yo"}),
            span("a", "assistant_turn", 5, 60, result={"user_turn_id": "u", "spoken_text": "Hi"}),
            span("l", "llm", 5, 50, "a", result={"streams": {"output": text}}),
            span("c", "transcription", 45, 50, "a", result={"streams": {"text": text}}),
        ]
    )
    assert any("40 ms until the first word" in line for line in lines)
    assert row(lines, "wait").endswith("40 ms")


def test_open_call_shows_what_is_known() -> None:
    lines = drawn(unanswered_call())
    assert "still running" in lines
    assert any("“It”" in line for line in lines)
    assert "not ended" in row(lines, "llm")


def test_killed_call_says_that_it_has_no_end() -> None:
    lines = [line.plain for line in waterfall(unanswered_call(), now_us=us(86_400_000))]
    assert lines[1] == ("no end was recorded: its process died, or has been silent for 15 minutes")


def test_a_call_without_turns_says_so() -> None:
    assert drawn([session()])[-1] == "Nobody said anything."
    assert drawn([session(None)])[-1] == "Nobody said anything yet."
    lost = list(waterfall([session(None)], now_us=us(86_400_000)))
    assert lost[-1].plain == "Nobody said anything."
    assert drawn([])[-1] == "Nobody said anything."


def test_lost_spans_are_reported() -> None:
    lines = drawn([session(lost_spans=3, tracer_failures=1)])
    assert "incomplete: 3 spans lost, 1 failure of the tracer itself" in lines


def _hostile() -> list[StoredSpan]:
    nasty = "[red]x[/red] \x1b[31m\x07\r\n\u202egnp.exe \u2028 {x!r} " + "w" * 300 + "漢字" * 100
    return [
        span(
            "h",
            "user_turn",
            7000,
            7100,
            payload={"modality": "text"},
            result={"transcript": nasty},
        ),
        span(
            "ha",
            "assistant_turn",
            7000,
            7900,
            payload={"source": nasty},
            result={"user_turn_id": "h", "spoken_text": nasty},
        ),
        span(
            "ht",
            f"tool:{nasty}",
            7100,
            7200,
            "ha",
            payload={"inputs": {nasty: [nasty]}},
            result={"outcome": "returned", "outputs": {"output": nasty}},
        ),
        span("he", "error", 7300, 7300, "ha", payload={"source": nasty, "message": nasty}),
        span("hx", nasty, 7400, 7500, SESSION),
    ]


def test_hostile_text_is_shown_and_does_nothing() -> None:
    text = "\n".join(drawn([session(), *_hostile()]))
    assert "[red]x[/red] \\x1b[31m\\x07 \\u202egnp.exe" in text
    assert not any(c in text for c in "\x1b\x07\r\u202e\u2028")


def test_an_encoding_without_blocks_gets_ascii() -> None:
    assert glyphs_for("ascii") is glyphs_for("latin-1") is glyphs_for("no such") is ASCII
    assert glyphs_for("utf-8") is UNICODE
    assert "\n".join(drawn(spoken_call(), 80, ASCII)).isascii()


def test_svg_is_a_picture_that_asks_the_network_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "call.svg"
    export_svg([*spoken_call(), *_hostile()], path, "a <call>")
    picture = path.read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    assert "url(http" not in picture
    assert "@font-face" not in picture
    assert "a&#160;&lt;call&gt;" in picture


def _mangled(value: object, by: object) -> object:
    if isinstance(value, dict):
        return {key: _mangled(part, by) for key, part in value.items() if key != "streams"}
    return by


@pytest.mark.parametrize("by", ["[redacted]", None, 7, [], ["… [3 more items]"]])
def test_redacted_and_cut_payloads_are_drawn_all_the_same(by: object) -> None:
    """A redact function of the user's may put anything in the place of anything."""
    whole = [
        replace(
            one,
            payload=dict.fromkeys([*one.payload, "job", "room", "inputs", "source"], by),
            result={key: by for key in [*one.result, "error", "outputs"] if key != "streams"},
        )
        for one in [*spoken_call(), *_hostile()]
    ]
    assert drawn(whole)
    leaves = [
        replace(one, payload=_mangled(one.payload, by), result=_mangled(one.result, by))
        for one in [*spoken_call(), *_hostile()]
    ]
    assert drawn(leaves)
    assert outline(leaves, us(20_000))


def test_words_that_were_not_captured_are_shown_by_their_length() -> None:
    spans = spoken_call()
    masked = {"generated_text": "<34 characters>", "spoken_text": "<19 characters>"}
    spans[3] = replace(spans[3], result={**spans[3].result, **masked})
    lines = drawn(spans)
    assert any("“<19 characters>”" in line for line in lines)
    assert not any("never said" in line for line in lines)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {"file": "a.ogg", "offset_ms": -2.5, "duration_s": 9.8},
            ["recorded: 9.80 s · prefactor-agent report plays it"],
        ),
        (
            {"file": "a.ogg", "duration_s": 65.0, "missing_s": 0.52, "error": "no space is left"},
            [
                "recorded: 65.0 s, 520 ms could not be · prefactor-agent report plays it",
                "the recording failed: no space is left",
            ],
        ),
        ({"error": "permission is denied"}, ["the recording failed: permission is denied"]),
        (None, []),
    ],
)
def test_the_head_says_that_a_call_was_recorded(
    told: dict[str, object] | None, said: list[str]
) -> None:
    lines = drawn([session(recording=told), *spoken_call()[1:]], 120)
    assert [one for one in lines if "record" in one] == said
