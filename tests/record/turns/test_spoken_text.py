"""``spoken_text`` equals ``generated_text`` where all of it was spoken."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent import TracedAgent, traced_tool
from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.tree import JSON, Recorder, check


@traced_tool
async def look() -> str:
    """Look."""
    return "3"


async def answers(*answers: Any, count: int = 1) -> None:
    line = Line(hears=ScriptedSTT("how much"), thinks=ScriptedLLM(*answers))
    async with line.to(TracedAgent(instructions="x", tools=[look])):
        await line.says()
        await line.answers(count)


def the_turn(sink: Recorder) -> JSON:
    (turn,) = [span for span in check(sink) if span["type"] == "livekit:assistant_turn"]
    return dict(turn["result"])


@pytest.mark.parametrize(
    "first", ["Let me look.", "Let me look. ", "Let me look.\n", " Let me look. "]
)
@pytest.mark.parametrize("second", ["It is 3.", " It is 3.", "It is  3. "])
async def test_an_answer_before_and_after_a_tool_is_spoken_as_it_was_generated(
    first: str, second: str, sink: Recorder
) -> None:
    await answers([first, Use("look")], second)
    result = the_turn(sink)
    assert result["spoken_text"] == result["generated_text"] == result["outputs"]["text"]
    assert result["spoken_text"].split() == [*first.split(), *second.split()]
    between = result["spoken_text"].partition("look.")[2].partition("It")[0]
    assert between in {" ", "\n", "  ", "\n "}
    if not first.endswith((" ", "\n")) or not second.startswith(" "):
        assert len(between) == 1


async def test_blanks_around_an_answer_are_no_difference(sink: Recorder) -> None:
    await answers("  It is 3.  ")
    result = the_turn(sink)
    assert result["spoken_text"] == result["generated_text"]
