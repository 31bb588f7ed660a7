"""What happened in a call besides questions and answers, and can be looked for: reports of tools in
the background, keys, refused results, tasks that failed, words that were not taken, which of
several sessions it is. In the terminal, on the page and for programs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import livekit.agents
import pytest
from livekit import rtc
from livekit.agents import AgentSession, RunContext
from rich.cells import cell_len

from prefactor_agent import TracedAgent, traced_tool
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.testing import collecting
from prefactor_agent.view.export.outline import outline
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.summarize import summarize
from prefactor_agent.view.report import render
from prefactor_agent.view.terminal.waterfall import waterfall
from support import virtual_time
from support.job import LINKED, Job, person
from support.line import NO_RETRIES, Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from view import journals
from view.calls import session, spoken_call, us
from view.commandline import run
from view.report.test_report import Page
from view.tool_calls import (
    background_call,
    failed_task_call,
    given_up_call,
    key,
    keys_call,
    refused_call,
)


def drawn(spans: list[StoredSpan], width: int = 80) -> list[str]:
    lines = [line.plain for line in waterfall(spans, width, now_us=us(60_000))]
    assert all(cell_len(line) <= width for line in lines)
    return lines


def red(spans: list[StoredSpan]) -> str:
    """What stands in red in the terminal."""
    return " ".join(
        line.plain[part.start : part.end].strip() if part else line.plain.strip()
        for line in waterfall(spans, 80, now_us=us(60_000))
        for part in ([None] if "red" in str(line.style) else line.spans)
        if part is None or "red" in str(part.style)
    )


def page(spans: list[StoredSpan]) -> Page:
    return Page(render(spans))


# Tools in the background


def test_below_a_tools_bar_stands_what_it_reported_and_when() -> None:
    lines = drawn(background_call())
    at = next(i for i, line in enumerate(lines) if line.startswith("  book "))
    assert lines[at].endswith("background   3.10 s")
    assert [line.strip() for line in lines[at + 1 : at + 6]] == [
        'to="Rome" → "AB12"',
        "0:02.5 “searching”, the answer to the model",
        "0:03.0 “a quiet note”, for the model alone",
        "0:04.2 “found three” → turn 2",
        "0:05.5 over, 1.60 s after its turn → turn 3",
    ]


def test_an_answer_that_reports_says_so_and_is_not_on_its_own() -> None:
    headings = [line for line in drawn(background_call()) if " turn " in line and "──" in line]
    assert headings[1].endswith("─ reports book")
    assert headings[2].endswith("─ reports the result of book")
    assert not any("on its own" in line for line in headings)


def test_of_many_reports_the_terminal_shows_the_first_and_counts_the_rest() -> None:
    spans = background_call()
    many = [{"at_us": 2_500_000 + n, "text": f"step {n}", "silent": False} for n in range(20)]
    spans[4].result.update(updates=many, updates_omitted=5)
    lines = drawn(spans)
    assert sum("“step" in line for line in lines) == 8
    assert any(line.strip() == "and 17 more reports" for line in lines)


def test_a_report_that_livekit_refused_is_red() -> None:
    spans = background_call()
    spans[4].result["updates"][2]["is_error"] = True
    assert "0:04.2 “found three”, which LiveKit refused" in red(spans)


def test_the_page_lists_the_reports_with_links_to_their_answers() -> None:
    made = page(background_call())
    assert "tool book 3.10 s" in made.text
    assert "0:02.5 searching the answer to the model 0:03.0 a quiet note for" in made.text
    assert "found three → turn 2 0:05.5 over, 1.60 s after its turn → turn 3" in made.text
    assert "reports the result of book" in made.text
    assert {"#a2", "#a3"} <= {a.get("href") for tag, a in made.tags if tag == "a"}


def test_the_pages_timeline_draws_a_background_tool_to_its_end_with_its_reports() -> None:
    data = page(background_call()).data
    place = data["ids"].index("t1")
    from view.report.test_report import numbers

    sums = numbers(data["took"])
    took = [now - before for before, now in zip([0, *sums], sums, strict=False)]
    assert took[place] * data["tick_us"] == 3_100_000
    (stream,) = [one for one in data["streams"] if one[0] == place]
    assert data["names"][stream[1]] == "updates"
    assert stream[2] == "event"
    at = [moment * data["tick_us"] for moment in numbers(stream[4])]
    assert at == [100_000, 600_000, 1_800_000]


# Keys


def test_keys_stand_between_the_turns_where_they_were_pressed() -> None:
    lines = drawn(keys_call(key(3000, "7", participant="anna"), key(3400, "9", participant="anna")))
    at = lines.index("  keys 7 9 pressed by anna at 0:03.0")
    before, after = (
        next(i for i, line in enumerate(lines) if f"── turn {n} " in line) for n in (1, 2)
    )
    assert before < at < after


def test_only_the_keys_of_a_time_are_shown_when_that_is_asked_for() -> None:
    spans = keys_call(key(3000, "7"), key(3_600_000, "9"))
    lines = [line.plain for line in waterfall(spans, 80, at_us=us(3_600_000))]
    assert any("key 9 pressed" in line for line in lines)
    assert not any("key 7 pressed" in line for line in lines)


def test_the_page_has_the_keys_in_the_conversation_and_on_the_timeline() -> None:
    made = page(keys_call(key(3000, "7", participant="anna"), key(3400, "9", direction="sent")))
    talk = made.text[made.text.index("Conversation") :]
    said = ("Press two keys.", "key 7 pressed by anna", "key 9 sent by the agent", "Thanks.")
    assert [said.index(one) for one in sorted(said, key=talk.index)] == [0, 1, 2, 3]
    assert made.data["keys"] == [[300_000, "7", False], [340_000, "9", True]]


# What went wrong


def test_a_refused_result_is_red_with_what_the_model_got_and_counts_as_an_error() -> None:
    spans = refused_call()
    assert summarize(build(spans)).errors == 1
    assert "TypeError: object dict can't be used in 'await' expression" in red(spans)
    lines = [line.strip() for line in drawn(spans)]
    assert 'returned {"number": 7}' in lines
    assert 'the model got "An internal error occurred"' in lines
    text = page(spans).text
    assert "invalid output" in text
    assert 'returned {"number": 7} model got An internal error occurred' in text


def test_a_refused_handoff_is_red_with_its_reason_and_counts_as_an_error() -> None:
    reason = "to_third, which was called together with it, answered with an agent, too"
    error = {"error_type": "HandoffRefused", "message": reason}
    spans = refused_call(outcome="handoff_refused", outputs={"agent": "second"}, error=error)
    assert summarize(build(spans)).errors == 1
    assert f"HandoffRefused: {reason}" in re.sub(r"\s+", " ", red(spans))
    assert any(line.strip() == "answered with agent second" for line in drawn(spans))
    assert not any("handoff to" in line for line in drawn(spans))
    assert "handoff refused" in page(spans).text
    ((tool,),) = (
        [stage for stage in turn["stages"] if stage["stage"] == "find"]
        for turn in outline(spans)["turns"]
    )
    assert (tool["outcome"], tool["error"]) == ("handoff_refused", error)


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        ("task_failed", "back to ask, the task failed: ValueError: no such street"),
        ("task_cancelled", "back to ask, the task was cancelled"),
    ],
)
def test_a_task_that_ended_without_a_result_is_red(cause: str, why: str) -> None:
    spans = failed_task_call(cause)
    assert f"handoff address_task → clerk, {why}" in re.sub(r"\s+", " ", red(spans))
    classes = [a.get("class") for tag, a in page(spans).tags if a.get("id") == "h1"]
    assert classes == ["note handoff failed"]


# Words that were not taken


def test_words_that_were_given_up_are_no_question_without_an_answer() -> None:
    spans = given_up_call()
    headings = [line for line in drawn(spans) if "── turn 2" in line]
    assert headings[0].endswith("─ not taken")
    assert any("“Hm, wait.”" in line for line in drawn(spans))
    assert [turn["taken"] for turn in outline(spans)["turns"]] == [None, False]
    assert [turn["taken"] for turn in outline(spoken_call())["turns"]] == [True]
    assert "not taken as a turn" in page(spans).text


# Several sessions in one job


def together(number: int, of: int | None, caller: str | None) -> list[StoredSpan]:
    more = {"session_number": number, **({"sessions_together": of} if of else {})}
    spans = [session(**more)]
    if caller is not None:
        spans[0].payload["participant"] = {"identity": caller, "kind": "sip"}
    return spans


def test_the_head_says_which_of_several_sessions_it_is_and_whose() -> None:
    assert "room lobby · session 1 of 2 with anna · " in drawn(together(1, 2, "anna"))[0]
    assert "room lobby · session 2 · " in drawn(together(2, None, None))[0]
    assert "session" not in drawn(spoken_call())[0]
    assert "job session 1 of 2" in page(together(1, 2, "anna")).text


def test_sessions_tells_the_sessions_of_one_job_apart(tmp_path: Path) -> None:
    calls = [
        journals.renamed(together(number, 2, who), f"0{number}m7yctfytk4y4mq7hx2eescvvtttk2w")
        for number, who in ((1, "anna"), (2, "bob"))
    ]
    path = journals.write(tmp_path / "journal.db", *calls)
    printed = run("sessions", journal=path).stdout
    assert "session 1 of 2 with anna" in printed
    assert "session 2 of 2 with bob" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())
    said = outline(calls[0])
    assert (said["session_number"], said["sessions_together"], said["participant"]) == (
        1,
        2,
        "anna",
    )


# A voice that was given other words


def test_the_details_have_what_a_voice_was_given_in_place_of_the_nodes_text() -> None:
    spans = spoken_call()
    spans[-1].result["given_text"] = "It ships on the next Friday."
    data = page(spans).data
    result: Any = data["details"][data["ids"].index("p1")][1]["given_text"]
    assert data["strings"][result["$s"]] == "It ships on the next Friday."


# Recorded calls


def test_a_recorded_background_tool_is_shown_with_its_reports() -> None:
    if not hasattr(livekit.agents, "ToolExecutionUpdatedEvent"):
        pytest.skip("from 1.6 on")

    @traced_tool
    async def book(ctx: RunContext[Any], to: str) -> str:
        """Book."""
        await ctx.update(f"searching flights to {to}")
        await asyncio.sleep(0.8)
        await ctx.update("found three")
        await asyncio.sleep(0.8)
        return "booked AB12"

    async def talk() -> None:
        line = Line(
            hears=ScriptedSTT("fly me to Rome"),
            thinks=ScriptedLLM([Use("book", {"to": "Rome"})], "I search.", "Three.", "Booked."),
        )
        async with line.to(TracedAgent(instructions="x", tools=[book])):
            await line.says()
            await line.answers(3)

    with collecting() as trace:
        virtual_time.run(talk())
    spans = trace.spans()
    lines = drawn(spans)
    below = [line.strip()[7:] for line in lines if re.match(r" +\d:\d\d\.\d ", line)]
    assert below[:2] == [
        "“searching flights to Rome”, the answer to the model",
        "“found three” → turn 2",
    ]
    assert re.fullmatch(r"over, 1\.\d\d s after its turn → turn 3", below[2])
    headings = [line.rsplit("─ ", 1)[1] for line in lines if "── turn" in line]
    assert headings[1:] == ["reports book", "reports the result of book"]
    text = page(spans).text
    assert "found three → turn 2" in text
    (tool,) = trace.spans("tool:book")
    assert tool.result["duration_ms"] >= 1_600


def test_recorded_keys_are_shown_where_they_were_pressed() -> None:
    async def talk() -> None:
        job = Job()
        with job.running():
            talking: AgentSession[None] = AgentSession(
                llm=ScriptedLLM("Press two keys.", "Thanks."), vad=None, conn_options=NO_RETRIES
            )
            await talking.start(
                TracedAgent(instructions="x"), room=job.room, room_options=LINKED, record=False
            )
            job.joins(person("anna", kind=3))
            await talking.run(user_input="go")
            await asyncio.sleep(0.2)  # on this loop the answer took no time
            for digit in "79":
                by = job.room.remote_participants["anna"]
                pressed = rtc.SipDTMF(code=int(digit), digit=digit, participant=by)
                job.room.emit("sip_dtmf_received", pressed)
            await asyncio.sleep(0.5)
            await talking.run(user_input="well?")
            await talking.aclose()
            await job.end("done")

    with collecting() as trace:
        virtual_time.run(talk())
    lines = drawn(trace.spans())
    (at,) = [i for i, line in enumerate(lines) if "keys 7 9 pressed by anna at 0:00." in line]
    turns = [i for i, line in enumerate(lines) if "── turn" in line]
    assert turns[0] < at < turns[1]
    assert "keys 7 9 pressed by anna" in page(trace.spans()).text
