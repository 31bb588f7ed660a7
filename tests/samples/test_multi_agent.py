"""The sample with a task and a handoff, on a scripted line."""

from __future__ import annotations

from samples.multi_agent import Receptionist

from support.line import Line
from support.scripted import ScriptedLLM, ScriptedSTT, Use
from support.tree import Recorder, check, outline


async def test_a_table_is_booked_and_the_kitchen_asked(sink: Recorder) -> None:
    line = Line(
        hears=ScriptedSTT("a table at eight", "ada and two friends", "what is the soup", "tomato"),
        thinks=ScriptedLLM(
            ["Hello."],
            [Use("book_table", {"time": "eight"})],
            ["Who will come?"],
            [Use("note_party", {"name": "Ada", "people": 3})],
            ["Your table is booked."],
            [Use("transfer_to_kitchen", call_id="to-kitchen")],
            ["One moment."],
            ["The kitchen here."],
            [Use("todays", {"course": "soup"})],
            ["Tomato and basil."],
        ),
    )
    async with line.to(Receptionist()):
        await line.answers(1)
        for heard in (2, 3, 5, 6):
            await line.says(then=0.3)
            await line.answers(heard)
    check(sink)
    told = [row for row in outline(sink) if "turn" in row or "tool:" in row or "handoff" in row]
    assert [row for row in told if "tool_result" not in row] == [
        "  assistant_turn: Hello.",
        "  user_turn: a table at eight",
        "  assistant_turn: Your table is booked.",
        "    tool:book_table: returned",
        "      handoff: receptionist to ask_for_party",
        "      assistant_turn: Who will come?",
        "      user_turn: ada and two friends",
        "      assistant_turn",
        "        tool:note_party: returned",
        "      handoff: ask_for_party to receptionist",
        "  user_turn: what is the soup",
        "  assistant_turn: One moment.",
        "    tool:transfer_to_kitchen: handoff",
        "  handoff: receptionist to kitchen",
        "  assistant_turn: The kitchen here.",
        "  user_turn: tomato",
        "  assistant_turn: Tomato and basil.",
        "    tool:todays: returned",
    ]
    handoff = sink.plain(sink.of("livekit:handoff")[-1])["payload"]
    assert (handoff["cause"], handoff["call_id"]) == ("tool", "to-kitchen")
    booked = sink.one("livekit:tool:book_table")["result"]["outputs"]["output"]
    assert booked == "A table for 3 at eight is booked for Ada."
    # Every silence of the call is accounted for, the one after the task included.
    assert sink.one("livekit:session")["result"]["latency"]["turns"] == 4
