"""The scripted chat model: pure functions from a request to its answer."""

import json
from typing import Any

from prefactor_agent.demo import chat
from prefactor_agent.demo.script import CANCEL, FALLBACK, GOODBYE, GREETING, KETTLE, RETURN, WHERE

TOOLS = [
    {"type": "function", "function": {"name": name}}
    for name in ("look_up_order", "check_stock", "store_hours", "cancel_order")
]


def request(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    system = {"role": "system", "content": "You answer the phone."}
    return {"model": "any", "messages": [system, *messages], "tools": TOOLS, **more}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def with_results(question: str, *results: str) -> dict[str, Any]:
    """The request that follows once the tools that `question` needs have answered."""
    asked = request(user(question))
    message = chat.completion(asked, chat.reply_to(asked))["choices"][0]["message"]
    outputs = [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(message["tool_calls"], results, strict=True)
    ]
    return request(user(question), message, *outputs)


def streamed(body: dict[str, Any]) -> list[dict[str, Any]]:
    return list(chat.chunks(body, chat.reply_to(body)))


def test_greets_before_anything_was_said():
    assert chat.reply_to(request()).text == GREETING


def test_asks_for_one_tool():
    (call,) = chat.reply_to(request(user(WHERE))).calls
    assert (call.name, call.arguments) == ("look_up_order", {"order_id": "42"})


def test_asks_for_two_tools_at_once():
    reply = chat.reply_to(request(user(KETTLE)))
    assert [call.name for call in reply.calls] == ["check_stock", "store_hours"]
    assert reply.finish_reason == "tool_calls"


def test_answers_with_the_results():
    reply = chat.reply_to(with_results(KETTLE, "Three left.", "Open till four."))
    assert (reply.text, reply.calls) == ("Three left. Open till four.", ())


def test_apologises_for_a_failed_tool():
    reply = chat.reply_to(with_results(CANCEL, "It has already shipped."))
    assert reply.text == "I am sorry. It has already shipped."


def test_results_of_an_earlier_question_do_not_count():
    earlier = with_results(WHERE, "On its way.")["messages"][1:]
    assert chat.reply_to(request(*earlier, user(WHERE))).calls


def test_a_long_answer_needs_no_tool():
    assert len(chat.reply_to(request(user(RETURN))).tokens()) > 40


def test_anything_else_gets_a_polite_answer():
    assert chat.reply_to(request(user("Do you sell cars?"))).text == FALLBACK


def test_does_not_ask_for_tools_that_are_not_offered():
    assert chat.reply_to({**request(user(WHERE)), "tools": []}).text == FALLBACK


def test_content_in_parts_and_in_another_spelling_is_understood():
    parts = [{"type": "text", "text": GOODBYE.upper().replace(".", " !")}]
    assert chat.reply_to(request(user(parts))).text == "You are welcome. Goodbye!"


def test_streams_text_whole_and_ends_with_the_reason():
    chunks = streamed(request(user(RETURN)))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == (
        chat.reply_to(request(user(RETURN))).text
    )
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_streams_tool_calls_in_parts():
    arguments = {0: "", 1: ""}
    for chunk in streamed(request(user(KETTLE))):
        for part in chunk["choices"][0]["delta"].get("tool_calls", []):
            arguments[part["index"]] += part["function"]["arguments"]
    assert json.loads(arguments[0]) == {"item": "kettle"}
    assert json.loads(arguments[1]) == {"day": "Saturday"}


def test_usage_comes_last_and_only_if_asked_for():
    asked = request(user(GOODBYE), stream_options={"include_usage": True})
    last = streamed(asked)[-1]
    assert last["choices"] == []
    spent = last["usage"]
    assert spent["total_tokens"] == spent["prompt_tokens"] + spent["completion_tokens"]
    assert spent["completion_tokens"] == 4
    assert not any("usage" in chunk for chunk in streamed(request(user(GOODBYE))))


def test_the_pace_stays_in_its_ranges():
    pace = chat.Pace()
    assert all(0.20 <= pace.before_first() <= 0.35 for _ in range(50))
    assert all(0.015 <= pace.before_next() <= 0.030 for _ in range(50))
    assert chat.Pace.none().before_first() == chat.Pace.none().before_next() == 0
