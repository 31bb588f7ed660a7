"""What models cost, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from prefactor_agent.pricing import ModelCost, Rates, costs, keys, total


def llm(**amounts: float) -> dict[str, Any]:
    return {"type": "llm_usage", "provider": "openai", "model": "m", **amounts}


def stt(**amounts: float) -> dict[str, Any]:
    return {"type": "stt_usage", "provider": "deepgram", "model": "ears", **amounts}


def tts(**amounts: float) -> dict[str, Any]:
    return {"type": "tts_usage", "provider": "cartesia", "model": "voice", **amounts}


def cost(usage: dict[str, Any], **rates: float) -> ModelCost:
    [found] = costs([usage], lambda *_: rates)
    return found


def approx(usd: float) -> Any:
    return pytest.approx(usd, rel=1e-12)


def test_tokens_cost_by_the_million() -> None:
    found = cost(llm(input_tokens=1_000_000, output_tokens=200_000), input=2.5, output=10)
    assert (found.usd, found.unpriced) == (approx(2.5 + 2.0), ())


def test_cached_tokens_are_part_of_the_input_and_count_once() -> None:
    used = llm(input_tokens=1000, input_cached_tokens=800, output_tokens=0)
    assert cost(used, input=2, cached_input=0.5).usd == approx((200 * 2 + 800 * 0.5) / 1e6)
    # Without a rate of their own they cost what all input costs.
    assert cost(used, input=2).usd == approx(1000 * 2 / 1e6)


def test_tokens_written_to_a_cache_have_a_rate_of_their_own() -> None:
    used = llm(input_tokens=1000, input_cached_tokens=300, input_cache_creation_tokens=500)
    found = cost(used, input=3, cached_input=0.3, cache_write=3.75)
    assert found.usd == approx((200 * 3 + 300 * 0.3 + 500 * 3.75) / 1e6)


def test_a_realtime_model_is_paid_for_text_and_audio() -> None:
    used = llm(
        input_tokens=1000,
        input_text_tokens=300,
        input_audio_tokens=700,
        input_cached_tokens=500,
        input_cached_text_tokens=100,
        input_cached_audio_tokens=400,
        output_tokens=600,
        output_text_tokens=100,
        output_audio_tokens=500,
    )
    found = cost(
        used, input=4, cached_input=0.4, audio_input=32, cached_audio_input=0.4,
        output=16, audio_output=64,
    )  # fmt: skip
    expected = 200 * 4 + 100 * 0.4 + 300 * 32 + 400 * 0.4 + 100 * 16 + 500 * 64
    assert (found.usd, found.unpriced) == (approx(expected / 1e6), ())


def test_what_has_no_rate_is_named_and_the_rest_is_priced() -> None:
    found = cost(
        llm(input_tokens=1000, input_audio_tokens=700, output_tokens=10), input=4, output=16
    )
    assert found.usd == approx((300 * 4 + 10 * 16) / 1e6)
    assert found.unpriced == ("audio_input",)
    assert found.missing == "openai/m (audio_input)"


@pytest.mark.parametrize("rates", [None, {}, {"minute": 1.0}])
def test_a_model_without_a_price_costs_nothing_known(rates: Rates | None) -> None:
    [found] = costs([llm(input_tokens=10, output_tokens=5)], lambda *_: rates)
    assert (found.usd, found.unpriced) == (None, ("input", "output"))


def test_a_model_that_reported_nothing_is_named() -> None:
    found = cost(llm(), input=1, output=1)
    assert (found.usd, found.unpriced) == (None, ("usage",))


def test_ears_cost_by_the_minute_and_voices_by_the_character() -> None:
    assert cost(stt(audio_duration=90), minute=0.0048).usd == approx(1.5 * 0.0048)
    spoken = tts(characters_count=250, audio_duration=30)
    assert cost(spoken, characters=50).usd == approx(250 * 50 / 1e6)
    assert cost(spoken, minute=0.1).usd == approx(0.05)
    assert cost(spoken).unpriced == ("characters",)


def test_only_one_way_of_billing_counts() -> None:
    heard = stt(input_tokens=1000, input_audio_tokens=900, output_tokens=50, audio_duration=60)
    both: Rates = {"input": 1.25, "audio_input": 3, "output": 5, "minute": 0.003}
    assert cost(heard, **both).usd == approx((100 * 1.25 + 900 * 3 + 50 * 5) / 1e6)
    # Tokens that are not all priced give way to minutes that are.
    assert cost(heard, input=1.25, minute=0.003).usd == approx(0.003)


def test_a_connection_may_cost_by_the_minute() -> None:
    assert cost(llm(session_duration=120, input_tokens=5), minute=0.05).usd == approx(0.1)


def test_the_sum_is_of_what_has_a_price() -> None:
    rates: dict[tuple[str, str], Rates] = {("deepgram", "ears"): {"minute": 0.6}}
    used = [stt(audio_duration=1), tts(characters_count=5), {"type": "eot_usage"}]
    found = costs(used, lambda provider, model: rates.get((provider, model)))
    assert [one.kind for one in found] == ["stt", "tts"]
    assert total(found) == approx(0.01)
    assert total(found[1:]) is None


def test_odd_values_cost_nothing() -> None:
    odd: dict[str, Any] = {"type": "llm_usage", "input_tokens": "many", "output_tokens": -3}
    [found] = costs([odd], lambda *_: {"input": 1, "output": 1})
    assert (found.usd, found.unpriced, found.name) == (None, ("usage",), "llm")


def test_a_rate_of_a_provider_goes_before_that_of_the_model() -> None:
    assert keys("livekit", "deepgram/nova-3") == ("livekit/deepgram/nova-3", "deepgram/nova-3")


def test_pictures_that_a_realtime_model_saw_have_a_rate_of_their_own() -> None:
    used = llm(
        input_tokens=900, input_image_tokens=600, input_cached_tokens=200,
        input_cached_image_tokens=200,
    )  # fmt: skip
    rates: Rates = {"input": 4, "cached_input": 0.4, "output": 16}
    assert cost(used, **rates, image_input=5).usd == approx((300 * 4 + 200 * 0.4 + 400 * 5) / 1e6)
    assert cost(used, **rates).unpriced == ("image_input",)
