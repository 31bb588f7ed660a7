from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_agent import config, redact
from prefactor_agent.config import ConfigurationError, Settings
from prefactor_agent.core.clock import now_ns
from prefactor_agent.core.placeholders import HIDDEN, REDACTED
from prefactor_agent.core.span import SpanType, Status
from prefactor_agent.journal.reader import Journal
from prefactor_agent.journal.writer import JournalWriter
from prefactor_agent.record.spans.stream import Stream
from prefactor_agent.record.spans.tree import SpanTree
from prefactor_agent.redact import Redactor
from support.waiting import PATIENCE


def redactor(**changes: Any) -> Redactor:
    return Redactor(Settings(journal=Path("unused"), **changes), frozenset)


def test_without_content_names_times_and_sizes_stay() -> None:
    clean = redactor(capture_content=False)
    assert clean.value(
        {
            "name": "llm",
            "type": "livekit:llm",
            "turn_index": 3,
            "model_name": "think-1",
            "inputs": {
                "tools": ["book"],
                "ai": {"model": {"id": "think-1"}},
                "messages": [
                    {"role": "user", "content": "my name is Ann"},
                    {"role": "assistant", "tool_call": {"name": "book", "arguments": '{"a":1}'}},
                    {"role": "user", "content": ["Ann", {"type": "ImageContent"}]},
                ],
            },
        },
        "livekit:llm",
    ) == {
        "name": "llm",
        "type": "livekit:llm",
        "turn_index": 3,
        "model_name": "think-1",
        "inputs": {
            "tools": ["book"],
            "ai": {"model": {"id": "think-1"}},
            "messages": [
                {"role": "user", "content": "<14 characters>"},
                {"role": "assistant", "tool_call": {"name": "book", "arguments": "<7 characters>"}},
                {"role": "user", "content": ["<3 characters>", {"type": "<12 characters>"}]},
            ],
        },
    }
    assert clean.value(
        {
            "status": "completed",
            "outputs": {"output": {"name": "Ann", "age": 44, "ok": True, "none": None}},
            "duration_ms": 12.5,
            "streams": {"text": {"kind": "text", "count": 3}},
            "error": {"error_type": "ValueError", "message": "Ann is unknown"},
            "unheard_of": "Ann",
            "unheard_of_too": [3, {"Ann": 1}],
        },
        "livekit:tool:book",
        is_result=True,
    ) == {
        "status": "completed",
        "outputs": {"output": "<4 keys>"},
        "duration_ms": 12.5,
        "streams": {"text": {"kind": "text", "count": 3}},
        "error": {"error_type": "ValueError", "message": "<14 characters>"},
        "unheard_of": "<3 characters>",
        "unheard_of_too": ["<int>", "<1 keys>"],
    }


@pytest.mark.parametrize("setting", [{"capture_content": False}, {"hide_tools": {"charge"}}])
def test_keys_are_words_too_in_what_a_tool_gets_and_returns(setting: dict[str, Any]) -> None:
    clean = redactor(**setting)
    span = {"tool_name": "charge", "inputs": {"to": {"Zanzibar": 1}, "of": [{"Zanzibar": {}}, 2]}}
    assert clean.value(span, "livekit:tool:charge", span) == {
        "tool_name": "charge",
        "inputs": {"to": "<1 keys>", "of": ["<1 keys>", "<int>"]},
    }
    for output in ({"Zanzibar": "x"}, [[{"Zanzibar": "x"}]]):
        result = {"outputs": {"output": output}, "streams": {"output": {"count": 3}}}
        kept = clean.value(result, "livekit:tool:charge", span, is_result=True)
        assert "<1 keys>" in str(kept)
        assert "Zanzibar" not in str(kept)
        assert kept["streams"] == {"output": {"count": 3}}
    no_names = {"inputs": [{"Zanzibar": 1}]}
    assert clean.value(no_names, "livekit:tool:charge", span) == {"inputs": ["<1 keys>"]}


def test_without_content_the_parts_of_a_message_and_a_handoff_stay() -> None:
    clean = redactor(capture_content=False)
    message = {"id": "m1", "type": "message", "role": "assistant", "content": ["Hello"]}
    outputs = {"outputs": {"text": "Hello", "message": message}}
    kept = clean.value(outputs, "livekit:assistant_turn", is_result=True)
    assert kept["outputs"]["message"].keys() == message.keys()
    handoff = {"outputs": {"agent": "Cashier", "output": {"Zanzibar": 1}}}
    kept = clean.value(handoff, "livekit:tool:charge", is_result=True)
    assert kept["outputs"].keys() == {"agent", "output"}


def test_without_content_chunks_keep_their_times_and_sizes() -> None:
    clean = redactor(capture_content=False)
    text = {"offset_us": [1, 2], "size": [3, 4], "text": ["abc", "defg"]}
    assert clean.columns(text) == {**text, "text": ["", ""]}
    events = {"offset_us": [1], "size": [3], "event": [{"type": "final", "text": "abc"}]}
    assert clean.columns(events)["event"] == [{"type": "final"}]
    audio = {"offset_us": [1], "size": [3], "dbfs": [-20]}
    assert clean.columns(audio) == audio


def test_what_stands_under_a_key_or_matches_a_pattern_is_taken_out() -> None:
    clean = redactor(redact_keys={"Card", "pin"}, redact_patterns=(r"\d{4}-\d{4}", "secret"))
    assert clean.value(
        {"card": {"any": 1}, "PIN": 12, "text": "it is 1234-5678, a secret", "n": 5}, "x"
    ) == {"card": REDACTED, "PIN": REDACTED, "text": f"it is {REDACTED}, a {REDACTED}", "n": 5}
    # The pieces of a number are in several chunks: none of them may be kept.
    columns = {"offset_us": [1, 2], "size": [5, 4], "text": ["1234-", "5678"]}
    assert clean.columns(columns)["text"] == ["", ""]


def test_keys_reach_into_json_text() -> None:
    """A tool's arguments, and mostly its answer, are JSON text where an LLM gets them."""
    clean = redactor(redact_keys={"card"})
    given = {
        "inputs": {
            "messages": [
                {
                    "role": "assistant",
                    "tool_call": {"name": "charge", "arguments": '{"card": "41"}'},
                },
                {"role": "tool", "name": "charge", "content": ' [{"z": 1.0, "card": 41, "a": 2}]'},
            ]
        }
    }
    assert clean.value(given, "livekit:llm")["inputs"]["messages"] == [
        {
            "role": "assistant",
            "tool_call": {"name": "charge", "arguments": '{"card":"[redacted]"}'},
        },
        {"role": "tool", "name": "charge", "content": '[{"z":1.0,"card":"[redacted]","a":2}]'},
    ]
    result = {"tool_calls": [{"name": "charge", "arguments": '{"card": "4111"}'}]}
    assert "4111" not in str(clean.value(result, "livekit:llm", is_result=True))
    inner = json.dumps({"paid": json.dumps({"card": "4111"})})
    kept = clean.value({"outputs": {"output": inner}}, "livekit:tool:charge", is_result=True)
    assert kept == {
        "outputs": {"output": json.dumps({"paid": '{"card":"[redacted]"}'}, separators=(",", ":"))}
    }


@pytest.mark.parametrize(
    "text",
    [
        '{ "n": 1.10, "b": [1e3, 12345678901234567890, NaN], "a": "\\u0041" }',
        '{"card": "41',
        "[laughs] my card is blue",
        "{}",
    ],
)
def test_text_with_nothing_to_redact_in_it_stays_as_it_is(text: str) -> None:
    value = {"content": text}
    assert redactor(redact_keys={"card"}).value(value, "livekit:llm") == value


def test_json_text_too_deep_to_look_through_is_not_kept() -> None:
    text = '{"card": "4111"}'
    for _ in range(3):
        text = "[" * 190 + '{"a":' + json.dumps(text) + "}" + "]" * 190
    deep: Any = text
    for _ in range(150):
        deep = {"a": deep}
    clean = redactor(redact_keys={"card"})
    assert "4111" not in json.dumps(
        clean.value({"outputs": {"output": deep}}, "livekit:tool:charge", is_result=True)
    )


def test_a_function_of_the_users_is_told_the_keys_in_json_text() -> None:
    def user(path: tuple[str, ...], value: Any) -> Any:
        return "****" if path[-2:] == ("arguments", "card") else value

    call = {"name": "charge", "arguments": '{"card": 4111, "sum": 5}'}
    kept = redactor(redact=user).value({"tool_calls": [call]}, "livekit:llm", is_result=True)
    assert kept == {"tool_calls": [{"name": "charge", "arguments": '{"card":"****","sum":5}'}]}


def test_patterns_match_numbers_and_keys_too() -> None:
    clean = redactor(redact_patterns=(r"4111\d+",))
    span = {
        "tool_name": "charge",
        "inputs": {"n": 41111111, "f": -41112222.5, "ok": True, "sum": 5, "41113333": "a"},
    }
    assert clean.value(span, "livekit:tool:charge", span)["inputs"] == {
        "n": REDACTED,
        "f": REDACTED,
        "ok": True,
        "sum": 5,
        REDACTED: "a",
    }
    output = {"card 41111111": 1, "card 41112222": 2, "other": 3}
    kept = clean.value({"outputs": {"output": output}}, "livekit:tool:charge", is_result=True)
    assert kept["outputs"] == {
        "output": {f"card {REDACTED}": 1, f"card {REDACTED} (2)": 2, "other": 3}
    }
    both = redactor(redact_keys={"pin"}, redact_patterns=(r"4111\d+",))
    call = {"name": "charge", "arguments": '{"pin": 1, "n": 41111111, "41112222": 2}'}
    assert both.value({"tool_calls": [call]}, "livekit:llm", is_result=True) == {
        "tool_calls": [
            {
                "name": "charge",
                "arguments": '{"pin":"[redacted]","n":"[redacted]","[redacted]":2}',
            }
        ]
    }


def test_patterns_leave_the_names_and_the_measures_of_a_trace() -> None:
    clean = redactor(redact_patterns=(r"\d{4}", "out", "stream"))
    result = {
        "outputs": {"text": "a 1234"},
        "duration_ms": 4111.5,
        "streams": {"output": {"count": 4111}},
    }
    assert clean.value(result, "livekit:tool:look", is_result=True) == {
        **result,
        "outputs": {"text": f"a {REDACTED}"},
    }


def test_without_content_a_number_is_its_type_whatever_a_pattern_matches() -> None:
    clean = redactor(capture_content=False, redact_patterns=(r"\d+",))
    assert clean.value({"inputs": {"n": 41111111}}, "livekit:tool:charge") == {
        "inputs": {"n": "<int>"}
    }


def test_a_function_of_the_users_and_one_that_fails() -> None:
    seen = []

    def user(path: tuple[str, ...], value: Any) -> Any:
        seen.append(path)
        if value == "boom":
            raise RuntimeError
        return value.upper() if isinstance(value, str) else value

    clean = redactor(redact=user)
    assert clean.value({"a": {"b": ["x", "boom"]}, "n": 1}, "t") == {
        "a": {"b": ["X", HIDDEN]},
        "n": 1,
    }
    assert seen == [("a", "b"), ("a", "b"), ("n",)]


def test_a_function_of_the_users_is_not_given_what_the_tracer_measured() -> None:
    seen: list[Any] = []

    def user(path: tuple[str, ...], value: Any) -> Any:
        seen.append(value)
        return value.upper()  # as if there were texts alone

    result = {
        "spoken_text": "yes",
        "interrupted": False,
        "latency": {"perceived_ms": 1500.0, "stages": [{"name": "vad", "ms": 1500.0}]},
        "metrics": {"llm": [{"ttft": 0.4}]},
    }
    kept = redactor(redact=user).value(result, "livekit:assistant_turn", is_result=True)
    assert kept == {
        **result,
        "spoken_text": "YES",
        "latency": {"perceived_ms": 1500.0, "stages": [{"name": "VAD", "ms": 1500.0}]},
    }
    assert seen == ["yes", "vad"]
    call = {"tool_name": "pay", "inputs": {"card": 4111, "ok": True}}
    kept = redactor(redact=lambda _, value: "*").value(call, "livekit:tool:pay", call)
    assert kept["inputs"] == {"card": "*", "ok": "*"}


def test_binary_data_is_described_with_no_setting_at_all() -> None:
    clean = redactor()
    blob = base64.b64encode(os.urandom(300)).decode()
    value = {"image": f"see data:image/png;base64,{blob} here", "raw": blob, "text": "a b c"}
    assert not clean.text_is_clean(json.dumps(value))
    assert clean.value(value, "x") == {
        "image": f"see <image/png, {len(blob) + 22} characters of base64> here",
        "raw": "<400 characters of base64>",
        "text": "a b c",
    }
    assert clean.text_is_clean(json.dumps({"text": "word " * 1000, "id": "0" * 64}))


def test_hidden_tools_are_hidden_in_their_spans_and_in_the_conversation() -> None:
    clean = redactor(hide_tools={"book"})
    span = {"tool_name": "book", "inputs": {"card": "1234"}}
    assert clean.value(span, "livekit:tool:book", span) == {
        "tool_name": "book",
        "inputs": {"card": "<4 characters>"},
    }
    paid = {"outputs": {"output": "paid"}}
    assert clean.value(paid, "livekit:tool_result", span, is_result=True) == {
        "outputs": {"output": "<4 characters>"}
    }
    other = {"tool_name": "hours", "inputs": {"day": "monday"}}
    assert clean.value(other, "livekit:tool:hours", other) == other
    messages = {
        "inputs": {
            "messages": [
                {"role": "tool", "name": "book", "content": "paid"},
                {"role": "tool", "name": "hours", "content": "9 to 6"},
            ]
        }
    }
    assert clean.value(messages, "livekit:llm")["inputs"]["messages"] == [
        {"role": "tool", "name": "book", "content": "<4 characters>"},
        {"role": "tool", "name": "hours", "content": "9 to 6"},
    ]


def test_a_tool_that_is_hidden_while_calls_run_is_hidden_from_then_on() -> None:
    hidden: set[str] = set()
    clean = Redactor(Settings(journal=Path("unused")), lambda: hidden)
    span = {"tool_name": "book", "inputs": {"card": "1234"}}
    call = {"tool_calls": [{"name": "book", "arguments": '{"card": "1234"}'}]}
    assert clean.text_is_clean(json.dumps(span), "livekit:tool:book", span)
    hidden.add("book")
    assert not clean.text_is_clean(json.dumps(span), "livekit:tool:book", span)
    assert not clean.text_is_clean(json.dumps(call), "livekit:llm")
    assert "1234" not in str(clean.value(span, "livekit:tool:book", span))
    assert "1234" not in str(clean.value(call, "livekit:llm", is_result=True))


def test_what_a_hidden_tool_said_is_hidden_inside_content_too() -> None:
    clean = redactor(hide_tools={"book"})
    message = {"role": "tool", "name": "book", "note_name": "Ann", "content": "paid"}
    assert clean.value({"metadata": {"last": message}}, "livekit:session") == {
        "metadata": {
            "last": {
                "role": "tool",
                "name": "book",
                "note_name": "<3 characters>",
                "content": "<4 characters>",
            }
        }
    }


@pytest.mark.parametrize("is_result", [False, True])
@pytest.mark.parametrize("span_type", [*SpanType, "livekit:tool:book", "order"])
def test_a_field_that_no_type_declares_is_content(span_type: str, is_result: bool) -> None:
    """Whatever it is called: a new field is taken out until its type declares it as no content."""
    clean = redactor(capture_content=False)
    new = {
        "caller_name": "Ann",
        "caller_id": 1,
        "is_caller": True,
        "calling_at": 0.5,
        "caller": {"name": "Ann", "type": "vip"},
        "model": ["Ann", 2, {"name": "Ann"}],
        "none": None,
    }
    kept = clean.value(new, span_type, is_result=is_result)
    assert kept == {
        "caller_name": "<3 characters>",
        "caller_id": "<int>",
        "is_caller": "<bool>",
        "calling_at": "<float>",
        "caller": "<2 keys>",
        "model": ["<3 characters>", "<int>", "<1 keys>"],
        "none": None,
    }


def test_a_field_inside_what_is_kept_is_content_until_it_is_declared() -> None:
    clean = redactor(capture_content=False)
    result = {
        "status": "completed",
        "latency": {
            "perceived_ms": 1.5,
            "stages": [{"name": "vad", "ms": 1.5, "caller_name": "Ann"}],
            "caller_name": "Ann",
        },
        "moments_us": {"committed": 3, "caller_name": "Ann"},
        "metrics": {"llm": [{"label": "x", "metrics": {"new": 0.5, "caller_name": "Ann"}}]},
        "streams": {"text": {"kind": "text", "count": 3, "caller_name": "Ann"}},
        "error": {"error_type": "ValueError", "caller_name": "Ann"},
    }
    kept = clean.value(result, "livekit:assistant_turn", is_result=True)
    assert kept == json.loads(json.dumps(result).replace('"Ann"', '"<3 characters>"'))


def test_nothing_of_it_reaches_the_file(tmp_path: Path) -> None:
    settings = Settings(journal=tmp_path / "j.db", capture_content=False)
    writer = JournalWriter(settings)
    call = SpanTree(writer)
    call.announce({"agent_class": "Clerk", "job": {"metadata": "Zanzibar"}})
    stream = Stream(now_ns())
    span = call.begin(
        SpanType.LLM, "llm", None, {"inputs": lambda: {"q": "Zanzibar"}}, streams={"output": stream}
    )
    stream.add("Zanzibar")
    call.end(span, Status.COMPLETE, lambda: {"text": "Zanzibar"})
    call.end(call.root, Status.COMPLETE, {})
    assert writer.flush(PATIENCE)
    for file in tmp_path.iterdir():
        assert b"Zanzibar" not in file.read_bytes()
    journal = Journal(settings.journal)
    [_, kept] = journal.call(call.root.id)
    journal.close()
    assert kept.result["streams"]["output"]["size"] == [8]


def test_a_key_in_json_that_a_model_says_does_not_reach_the_file(tmp_path: Path) -> None:
    writer = JournalWriter(Settings(journal=tmp_path / "j.db", redact_keys=frozenset({"card"})))
    call = SpanTree(writer)
    call.announce({})
    stream = Stream(now_ns())
    span = call.begin(SpanType.LLM, "llm", None, {}, streams={"output": stream})
    for piece in ('{"card": ', '"Zanzibar"', "}"):
        stream.add(piece)
    call.end(span, Status.COMPLETE, lambda: {"text": '{"card": "Zanzibar"}'})
    call.end(call.root, Status.COMPLETE, {})
    assert writer.flush(PATIENCE)
    for file in tmp_path.iterdir():
        assert b"Zanzibar" not in file.read_bytes()


def test_the_token_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFACTOR_API_TOKEN", "hunter2")
    chosen = config.settings()
    assert chosen.delivers
    assert "hunter2" not in repr(chosen)


def test_settings_that_cannot_be_used() -> None:
    with pytest.raises(ConfigurationError, match="regular expression"):
        config.configure(redact_patterns=["("])
    with pytest.raises(ConfigurationError, match="purpose"):
        config.configure(purpose="fun")  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.sampled_from('aZ0+/_-= ."\\é'), st.integers(1, 330)), min_size=1, max_size=8
    )
)
def test_a_long_run_of_base64_is_found_wherever_it_begins(parts: list[tuple[str, int]]) -> None:
    text = "".join(character * count for character, count in parts)
    assert redact._maybe_binary(text) == (redact._BASE64.search(text) is not None)
