"""What a call has to hold to be played again, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from prefactor_agent.replay import Asked, NotReplayableError, Recording, asked_in, recording
from prefactor_agent.replay.asked import canonical
from prefactor_agent.stored.span import StoredSpan
from view.calls import spoken_call, unanswered_call


def spans() -> list[StoredSpan]:
    call = spoken_call()
    for span in call:
        if span.type == "livekit:llm":
            span.payload.setdefault("inputs", {}).setdefault("messages", [])
    return call


def of(call: list[StoredSpan], type_: str) -> StoredSpan:
    return next(span for span in call if span.type == type_)


def test_the_file_is_read_as_it_was_written() -> None:
    recorded = recording(spans())
    text = recorded.dump()
    assert Recording.model_validate_json(text) == recorded
    assert text.startswith('{\n  "format": "prefactor-agent/replay",\n  "version": 1,\n')
    assert max(map(len, text.splitlines())) < 20_000


def test_what_is_asked_is_the_users_last_words_and_what_followed() -> None:
    call: dict[str, Any] = {"call_id": "1", "name": "b", "arguments": '{"y": 1, "x": 2}'}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": ["Two", {"type": "ImageContent"}, "words"]},
        {"role": "assistant", "tool_call": call},
        {"role": "tool", "name": "b", "call_id": "1", "content": "done", "is_error": False},
        {"role": "other", "type": "agent_config_update"},
    ]
    assert asked_in(messages) == (
        Asked(kind="user", text="Two words"),
        Asked(kind="call", name="b", text='{"x": 2, "y": 1}'),
        Asked(kind="result", name="b", text="done"),
    )
    assert asked_in(messages[:1]) == ()
    assert canonical("") == "{}"
    assert canonical("{broken") == "{broken"


def mask_user(call: list[StoredSpan]) -> None:
    of(call, "livekit:user_turn").result["transcript"] = "<35 characters>"


def redact_reply(call: list[StoredSpan]) -> None:
    of(call, "livekit:llm").result["text"] = "Call [redacted] now."


def cut_tts(call: list[StoredSpan]) -> None:
    of(call, "livekit:tts").result["text"] = "Long… [300 more characters]"


def hide_input(call: list[StoredSpan]) -> None:
    message = {"role": "tool", "name": "x", "content": "[hidden: the redact function failed]"}
    of(call, "livekit:llm").payload["inputs"]["messages"] = [message]


def cut_input(call: list[StoredSpan]) -> None:
    of(call, "livekit:llm").payload["truncated"] = True


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (mask_user, "what the caller said (turn 1)"),
        (redact_reply, "LLM request 1"),
        (cut_tts, "TTS request 1"),
        (hide_input, "the input of LLM request 1"),
        (cut_input, "LLM request 1"),
    ],
)
def test_words_that_are_gone_are_named(
    spoil: Callable[[list[StoredSpan]], None], names: str
) -> None:
    call = spans()
    spoil(call)
    with pytest.raises(NotReplayableError) as refused:
        recording(call)
    assert names in str(refused.value)
    assert "\n" not in str(refused.value)


def test_chunks_without_words_get_them_from_the_whole_text() -> None:
    """As a pattern that found nothing leaves them."""
    call = spans()
    whole = recording(call).speeches
    stream = of(call, "livekit:tts").result["streams"]["text"]
    stream["size"] = [len(text) for text in stream["text"]]
    of(call, "livekit:tts").result["text"] = "".join(stream["text"])
    stream["text"] = [""] * len(stream["text"])
    assert recording(call).speeches == whole


def test_a_call_without_a_session_or_a_caller_is_refused() -> None:
    call = spans()
    with pytest.raises(NotReplayableError, match="the session's own span is missing"):
        recording(call[1:])
    with pytest.raises(NotReplayableError, match="the caller said nothing"):
        recording(call[:1])
    with pytest.raises(NotReplayableError, match="session's own span"):
        recording([])
    loose = [replace(span, parent_id="gone") if span.parent_id else span for span in call]
    assert recording(loose).turns
    realtime = replace(call[1], id="x" * 32, type="livekit:realtime")
    with pytest.raises(NotReplayableError, match="realtime"):
        recording([*call, realtime])


def test_a_call_that_has_not_ended_is_replayed_as_far_as_it_went_or_refused() -> None:
    try:
        recorded = recording(unanswered_call())
    except NotReplayableError as refused:
        assert "\n" not in str(refused)
    else:
        assert recorded.turns
        assert not [one for one in recorded.requests if not one.output.text and not one.tool_calls]
