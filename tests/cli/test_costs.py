"""Every view says the same of what a call cost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession

from prefactor_agent import TracedAgent, configure
from prefactor_agent.journal.outbox import Outbox
from support.scripted import ScriptedLLM, Tokens
from support.waiting import until
from view.calls import spoken_call
from view.commandline import run
from view.costs import LLM, STT, TTS, priced_session
from view.journals import renamed, write

OWN = {"nova-3": {"minute": 0.006}}
UNKNOWN = {**TTS, "model": "sonic-none"}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    call = [priced_session([LLM, STT, UNKNOWN], OWN), *spoken_call()[1:]]
    return write(
        tmp_path / "j.db", call, renamed(call, "01m7second"), renamed(spoken_call(), "nothing")
    )


def objects(*arguments: str | Path, journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, journal=journal).stdout.splitlines()]


def test_each_view_says_the_same(journal: Path, tmp_path: Path) -> None:
    usd = 0.003 + 30 / 60 * 0.006
    assert usd == pytest.approx(0.006)
    shown = run("show", "01m7y", journal=journal).stdout
    assert "cost: $0.0060 (LLM $0.0030, STT $0.0030)" in shown
    assert "no price: cartesia/sonic-none (characters)" in shown
    [call] = objects("show", "01m7y", "--json", journal=journal)
    listed = {one["id"]: one for one in objects("sessions", "--json", journal=journal)}
    assert call["cost"] == listed[call["id"]]["cost"]
    assert (call["cost"]["usd"], call["cost"]["unpriced"]) == (
        0.006,
        ["cartesia/sonic-none (characters)"],
    )
    assert [model["usd"] for model in call["cost"]["models"]] == [0.003, 0.003, None]
    lines = run("sessions", journal=journal).stdout.splitlines()
    assert "cost status" in lines[0].replace("  ", " ")
    assert [line.split("$")[1].split() for line in lines if "$" in line] == [
        ["0.0060+", "ended"]
    ] * 2
    assert lines[-2:] == [
        "+ without what has no price",
        "no price: cartesia/sonic-none (characters)",
    ]
    page = tmp_path / "page.html"
    run("report", "01m7y", "-o", page, journal=journal)
    assert "$0.0060 (LLM $0.0030, STT $0.0030)" in page.read_text()


def test_a_call_without_usage_has_no_cost(journal: Path) -> None:
    listed = {one["id"]: one for one in objects("sessions", "--json", journal=journal)}
    assert listed["nothing"]["cost"] is None
    assert "cost:" not in run("show", "nothing", journal=journal).stdout


def test_where_nothing_has_a_price_no_view_has_a_cost(tmp_path: Path) -> None:
    path = write(tmp_path / "j.db", [priced_session([UNKNOWN]), *spoken_call()[1:]])
    assert "cost" not in run("sessions", journal=path).stdout
    assert "cost" not in run("show", journal=path).stdout


def test_many_calls_add_up(journal: Path) -> None:
    [told] = objects("stats", "--json", journal=journal)
    assert told["cost"] == {
        "calls": 2,
        "usd": 0.012,
        "models": {"deepgram/nova-3": 0.006, "openai/gpt-4o": 0.006},
        "unpriced": {"cartesia/sonic-none (characters)": 2},
    }
    lines = run("stats", journal=journal).stdout
    assert "Cost of 2 calls: $0.0120, $0.0060 each" in lines
    assert "$0.0060  deepgram/nova-3" in lines
    assert "no price: cartesia/sonic-none (characters)" in lines


@pytest.mark.parametrize("content", [True, False])
async def test_a_real_call_costs_what_its_tokens_cost(content: bool, tmp_path: Path) -> None:
    path = tmp_path / "real.db"
    rates = {"scripted/scripted-llm": {"input": 2.0, "output": 10.0}}
    configure(journal=path, rates=rates, capture_content=content)
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Friday.", Tokens(1000, 200)]))
    await session.start(TracedAgent(instructions="x"))
    await session.run(user_input="When does it come?")
    await session.aclose()
    until(lambda: "cost: $0.0040 (LLM $0.0040)" in run("show", journal=path).stdout)


@pytest.mark.parametrize("content", [True, False])
async def test_a_call_that_is_cut_off_costs_what_it_has_cost_so_far(
    content: bool, tmp_path: Path
) -> None:
    path = tmp_path / "real.db"
    rates = {"scripted/scripted-llm": {"input": 2.0, "output": 10.0}}
    configure(journal=path, rates=rates, capture_content=content)
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(["Friday.", Tokens(1000, 200)]))
    await session.start(TracedAgent(instructions="x"))
    await session.run(user_input="When does it come?")
    until(lambda: "so far" in run("show", journal=path).stdout)
    cut_off = tmp_path / "cut.db"
    with closing(sqlite3.connect(path)) as whole, closing(sqlite3.connect(cut_off)) as part, part:
        whole.backup(part)
        part.execute("UPDATE calls SET process = 'gone|1|1'")
    await session.aclose()
    configure(journal=cut_off)

    def said() -> tuple[str, ...]:
        [listed] = objects("sessions", "--json", journal=cut_off)
        [call] = objects("show", "--json", journal=cut_off)
        assert listed["cost"] == call["cost"]
        assert (call["cost"]["usd"], call["cost"]["so_far"]) == (0.004, True)
        lines = run("sessions", journal=cut_off).stdout.splitlines()
        assert lines[-1] == "+ so far"
        assert "$0.0040+" in lines[1]
        assert "cost: $0.0040 so far (LLM $0.0040)" in run("show", journal=cut_off).stdout
        [told] = objects("stats", "--json", journal=cut_off)
        assert told["cost"]["usd"] == 0.004
        return (listed["status"],)

    before = said()
    with closing(Outbox(cut_off)) as outbox:  # as whoever delivers it, or archives it
        outbox.end_left_behind(objects("sessions", "--json", journal=cut_off)[0]["id"])
    assert (before, said()) == (("running",), ("failed",))
