"""What a call has used that has not told its sum, with numbers added up by hand."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.costs import cost_of_call, in_words
from prefactor_agent.view.model.usage import usage_of
from view.calls import SESSION, session, us


def measured(provider: str, model: str, type_: str, **metrics: Any) -> dict[str, Any]:
    return {
        "provider": provider, "model_name": model, "metrics": {"type": type_, **metrics}
    }  # fmt: skip


def turn(own: str, type_: str, at: float, **metrics: Any) -> StoredSpan:
    return StoredSpan(
        own, SESSION, SESSION, f"livekit:{type_}", type_, "complete", us(at), us(at + 1),
        {}, {"metrics": metrics},
    )  # fmt: skip


def llm(prompt: int, completion: int, **more: int) -> dict[str, Any]:
    return measured(
        "openai", "gpt-4o", "llm_metrics", prompt_tokens=prompt, completion_tokens=completion,
        **more,
    )  # fmt: skip


def tts(characters: int, seconds: float) -> dict[str, Any]:
    return measured(
        "cartesia", "sonic-3", "tts_metrics", characters_count=characters, audio_duration=seconds
    )


def stt(seconds: float, *, streamed: bool) -> dict[str, Any]:
    return measured("deepgram", "nova-3", "stt_metrics", audio_duration=seconds, streamed=streamed)


def cut_off(*turns: StoredSpan) -> list[StoredSpan]:
    """A call that has not come to tell what it used."""
    root = session(ended=None)
    assert "usage" not in root.result
    return [root, *turns]


def test_what_was_measured_in_turns_is_added_up_by_model() -> None:
    call = cut_off(
        turn("a", "user_turn", 1, stt=stt(2.5, streamed=False)),
        turn(
            "b", "assistant_turn", 2, llm=[llm(100, 10, prompt_cached_tokens=40)], tts=[tts(9, 1.0)]
        ),
        turn("c", "user_turn", 3, stt=stt(1.5, streamed=False)),
        turn("d", "assistant_turn", 4, llm=[llm(200, 20), llm(300, 5)], tts=[tts(11, 0.5)]),
        turn("e", "assistant_turn", 5),
    )
    assert usage_of(build(call)) == (
        [
            {"type": "stt_usage", "provider": "deepgram", "model": "nova-3", "audio_duration": 4.0},
            {
                "type": "llm_usage", "provider": "openai", "model": "gpt-4o",
                "input_tokens": 600, "input_cached_tokens": 40, "output_tokens": 35,
            },
            {
                "type": "tts_usage", "provider": "cartesia", "model": "sonic-3",
                "characters_count": 20, "audio_duration": 1.5,
            },
        ],
        True,
    )  # fmt: skip


def test_an_stt_that_streams_has_no_price_until_the_call_is_over() -> None:
    """It is given the silence between the turns, too."""
    call = cut_off(
        turn("a", "user_turn", 1, stt=stt(5.0, streamed=True)),
        turn("b", "assistant_turn", 2, llm=[llm(1_000_000, 0)]),
    )
    # 2.50 a million tokens.
    assert in_words(cost_of_call(build(call))) == [
        "$2.5000 so far (LLM $2.5000)",
        "no price: deepgram/nova-3 (usage)",
    ]


def test_a_realtime_model_says_what_its_tokens_are_of() -> None:
    reply = measured(
        "openai", "gpt-realtime", "realtime_model_metrics", input_tokens=100, output_tokens=50,
        input_token_details={
            "audio_tokens": 70, "text_tokens": 30, "image_tokens": 0, "cached_tokens": 20,
            "cached_tokens_details": {"audio_tokens": 15, "text_tokens": 5, "image_tokens": 0},
        },
        output_token_details={"audio_tokens": 40, "text_tokens": 10, "image_tokens": 0},
    )  # fmt: skip
    [model] = usage_of(build(cut_off(turn("a", "assistant_turn", 1, llm=[reply, reply])))).models
    assert model == {
        "type": "llm_usage", "provider": "openai", "model": "gpt-realtime",
        "input_tokens": 200, "input_cached_tokens": 40,
        "input_text_tokens": 60, "input_cached_text_tokens": 10,
        "input_audio_tokens": 140, "input_cached_audio_tokens": 30,
        "output_tokens": 100, "output_text_tokens": 20, "output_audio_tokens": 80,
    }  # fmt: skip


@pytest.mark.parametrize("metrics", [{}, {"llm": "many"}, {"llm": [{}, 3]}, {"stt": [1]}])
def test_where_nothing_was_measured_nothing_is_known(metrics: dict[str, Any]) -> None:
    call = build(cut_off(turn("a", "assistant_turn", 1, **metrics)))
    assert usage_of(call) == ([], False)
    assert cost_of_call(call) is None


def test_livekits_own_sum_wins() -> None:
    own = {"type": "llm_usage", "provider": "openai", "model": "gpt-4o", "input_tokens": 7}
    call = [
        session(usage={"model_usage": [{**own, "output_tokens": 0}]}),
        turn("a", "assistant_turn", 1, llm=[llm(100, 10)]),
    ]
    assert usage_of(build(call)) == ([own], False)
