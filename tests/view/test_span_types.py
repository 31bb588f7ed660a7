"""Dialogues inside a tool, handoffs, realtime models, tools that are not traced, states: where they
stand in the terminal, on the page and in the export for Perfetto."""

from __future__ import annotations

import re

from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.silences import silences
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.report import render
from prefactor_agent.view.report.view import View
from prefactor_agent.view.terminal.waterfall import waterfall
from view.calls import realtime_call, searching_call, task_call, us
from view.export.test_chrome_trace import events
from view.report.test_report import Page, numbers


def drawn(spans: list) -> list[str]:  # type: ignore[type-arg]
    return [line.plain for line in waterfall(spans, 100, now_us=us(60_000))]


def test_a_dialogue_in_a_tool_has_turns_of_its_own() -> None:
    call = build(task_call())
    told = [(t.number, [n.span.id for n in t.nodes], t.inside and t.inside.id) for t in call.turns]
    assert told == [
        (1, ["u1", "a1"], None),
        (2, ["a2"], "t1"),
        (3, ["u2", "a3"], "t1"),
    ]
    assert [s.id for s in call.turns[0].spans("tool", "llm", "handoff")] == ["l1", "t1", "h1", "h2"]
    assert not call.loose
    assert summarize(call).turns == 3
    assert [turn["inside"] for turn in outline(task_call())["turns"]] == [None, "t1", "t1"]


def test_the_first_words_of_the_dialogue_end_the_silence() -> None:
    """Not the answer after it, ten seconds later."""
    found = silences(build(task_call()))
    assert [(s.turn.number, s.begins_us, s.ends_us) for s in found.all] == [
        (1, us(1800), us(2500)),
        (3, us(6800), us(7100)),
    ]


def test_show_tells_the_dialogue_from_the_rest() -> None:
    lines = drawn(task_call())
    (second,) = [line for line in lines if "turn 2 at" in line]
    assert "in ask_address" in second
    (tool,) = [line for line in lines if line.startswith("  ask_address ")]
    assert "━" in tool, "what is talked about is not waited for"
    bars = [line for line in lines if line.startswith("  handoff ")]
    below = [lines[lines.index(bar, lines.index(tool)) + 1].strip() for bar in bars]
    assert below == [
        "handoff clerk → address_task, by ask_address",
        "handoff address_task → clerk, back to ask_address",
    ]
    assert all(sum(told in line for line in lines) == 1 for told in below)


def test_the_page_tells_the_dialogue_from_the_rest() -> None:
    page = Page(render(task_call()))
    nested = [a for tag, a in page.tags if tag == "li" and "nested" in (a.get("class") or "")]
    assert [a["data-span"] for a in nested] == ["a2", "u2", "a3"]
    said = ("Send it to me.", "Where to?", "Main street 1.", "Thank you.", "On its way.")
    talk = page.text[page.text.index("Conversation") :]
    assert [said.index(one) for one in sorted(said, key=talk.index)] == [0, 1, 2, 3, 4]
    assert "in ask_address" in page.text
    assert "clerk → address_task by ask_address" in page.text
    ids = page.data["ids"]
    turns, raw = dict(zip(ids, numbers(page.data["turn"]), strict=True)), page.data["turn"]
    assert raw
    assert len(turns) == len(ids)
    anchors = {id_: ids[at] for id_, at in zip(ids, page.data["anchor"], strict=True) if at >= 0}
    assert (anchors["l1"], anchors["h1"], anchors["a2"]) == ("a1", "h1", "a2")


def test_a_realtime_model_has_its_bar_and_its_voice() -> None:
    lines = drawn(realtime_call())
    (bar,) = [line for line in lines if line.startswith("  realtime ")]
    assert "ttfb 300 ms" in bar
    assert any("“It is sunny.”" in line for line in lines)
    view = View(realtime_call())
    assert [(run.begins_us, run.ends_us) for run in view.agent] == [(2_200_000, 3_600_000)]
    (silence,) = view.silences.all
    assert (silence.begins_us, silence.ends_us) == (us(1800), us(2200))


def test_a_tool_that_is_not_traced_is_a_tool() -> None:
    lines = drawn(realtime_call())
    (bar,) = [line for line in lines if line.startswith("  weather ")]
    assert lines[lines.index(bar) + 1].strip() == 'city="Oslo" → "sunny"'
    text = Page(render(realtime_call())).text
    assert "tool weather 100 ms from LiveKit's events" in text
    assert '{"city": "Oslo"}' in text


def test_a_tool_of_the_providers_has_no_length() -> None:
    lines = drawn(searching_call())
    (bar,) = [line for line in lines if line.startswith("  web_search ")]
    assert bar.endswith("at provider")
    assert lines[lines.index(bar) + 1].strip() == 'queries=["weather"] → done'
    page = Page(render(searching_call()))
    assert "tool web_search at the provider" in page.text
    assert _each(page.data["took"])[page.data["ids"].index("t1")] == -2
    (stage,) = [
        one
        for turn in outline(searching_call())["turns"]
        for one in turn["stages"]
        if one["span_id"] == "t1"
    ]
    assert stage["duration_ms"] is None


def test_a_handoff_between_turns_stands_there() -> None:
    assert "  handoff clerk → boss, by the program at 0:06.0" in drawn(realtime_call())
    text = Page(render(realtime_call())).text
    assert re.search(r"handoff clerk → boss by the program", text)


def test_states_last_until_the_next_one_and_are_no_noise() -> None:
    assert not any("user_state" in line for line in drawn(realtime_call()))
    data = Page(render(realtime_call())).data
    at = data["ids"].index("s1")
    took = [value * data["tick_us"] for value in _each(data["took"])]
    assert took[at] == 900_000
    assert took[data["ids"].index("s2")] == 8_000_000 - 1_800_000


def test_perfetto_gets_them_all() -> None:
    for spans in (task_call(), realtime_call()):
        found = events(spans)
        shown = {e["args"]["id"] for e in found if e["ph"] == "X" and "id" in e.get("args", {})}
        assert shown == {span.id for span in spans}


def _each(text: str) -> list[int]:
    sums = numbers(text)
    return [now - before for before, now in zip([0, *sums], sums, strict=False)]
