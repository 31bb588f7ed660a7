"""What calls cost: own rates, the catalogue, and what has neither."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model import catalogue
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.costs import (
    Spending,
    cost_json,
    cost_of_call,
    cost_of_digest,
    dollars,
    in_words,
    without_price,
)
from view.costs import LLM, STT, TTS, priced_call, priced_session
from view.digests import digest_of


def approx(usd: float) -> Any:
    return pytest.approx(usd, rel=1e-9)


def cost(session: StoredSpan) -> dict[str, Any]:
    found = cost_json(cost_of_call(build([session])))
    assert found is not None
    return found


def test_list_prices_come_from_the_catalogue() -> None:
    told = cost(priced_session([LLM, STT, TTS]))
    by_kind = {model["kind"]: model["usd"] for model in told["models"]}
    # 2.50 a million tokens in, 1.25 cached, 10 out; 0.08 a thousand seconds; 0.05 a thousand
    # characters.
    assert by_kind == {
        "llm": approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6),
        "stt": approx(30 * 0.08 / 1000),
        "tts": approx(200 * 0.05 / 1000),
    }
    assert told["usd"] == approx(sum(by_kind.values()))
    assert told["unpriced"] == []


def test_own_rates_win() -> None:
    own = {"openai/gpt-4o": {"input": 1.0, "output": 2.0}, "nova-3": {"minute": 0.006}}
    told = cost(priced_session([LLM, STT], own))
    assert [model["usd"] for model in told["models"]] == [
        approx((1000 * 1 + 100 * 2) / 1e6),
        approx(0.003),
    ]


@pytest.mark.parametrize(
    ("provider", "model"), [("127.0.0.1:8000", "gpt-4o"), ("openai", "gpt-99-x"), ("", "gpt-4o")]
)
def test_what_nobody_has_a_price_of_is_named(provider: str, model: str) -> None:
    told = cost(priced_session([{**LLM, "provider": provider, "model": model}, STT]))
    assert told["models"][0]["usd"] is None
    name = f"{provider}/{model}" if provider else model
    assert told["unpriced"] == [f"{name} (input, cached_input, output)"]
    assert told["usd"] == approx(0.0024)


def test_a_call_without_usage_has_no_cost() -> None:
    assert cost_of_call(build([priced_session([])])) is None
    assert cost_of_call(build([])) is None
    assert in_words(None) == []


def test_it_is_said_in_words() -> None:
    words = in_words(cost_of_call(build(priced_call([LLM, STT, {**TTS, "model": "none"}]))))
    assert words == [
        "$0.0054 (LLM $0.0030, STT $0.0024)",
        "no price: cartesia/none (characters)",
    ]
    assert (dollars(12.345), dollars(0.00004), dollars(0)) == ("$12.35", "$0.0000", "$0.0000")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "installed", lambda: False)
    catalogue.rates.cache_clear()
    try:
        cost = cost_of_call(build(priced_call([STT])))
        assert cost is not None and in_words(cost) == [], "no sum that leaves something out"
        [line] = without_price(cost.unpriced)
    finally:
        catalogue.rates.cache_clear()
    assert line == (
        "no price: deepgram/nova-3 (minute); pip install 'prefactor-agent[costs]' has list prices"
    )


def test_a_digest_costs_what_its_call_does() -> None:
    own = {"sonic-3": {"characters": 10.0}}
    call = priced_call([LLM, TTS], own)
    digest = digest_of(call)
    assert cost_of_digest(digest) == cost_of_call(build(call))
    assert cost_of_digest(digest) is not None


def test_many_calls_add_up() -> None:
    unknown = {**TTS, "model": "none"}
    calls = [priced_call([LLM]), priced_call([LLM, STT]), priced_call([unknown]), priced_call([])]
    spent = Spending()
    assert len(list(spent.counting(map(digest_of, calls)))) == 4
    assert spent.as_json() == {
        "calls": 2,
        "usd": 0.0084,
        "models": {"deepgram/nova-3": 0.0024, "openai/gpt-4o": 0.006},
        "unpriced": {"cartesia/none (characters)": 1},
    }
    assert Spending().as_json()["usd"] is None


def test_a_price_is_that_of_the_day_of_the_call() -> None:
    now = priced_session([STT])
    odd = replace(now, started_us=10**20)  # no day at all
    assert cost(odd)["models"][0]["usd"] is not None


@pytest.mark.parametrize(
    ("provider", "model", "known"),
    [
        ("cartesia", "sonic-3", True),
        ("cartesia", "sonic-2", False),  # the catalogue takes it for sonic-3
        ("openai", "gpt-4o-2024-08-06", True),
        ("api.openai.com", "GPT-4o", True),
        ("Deepgram", "nova-3-general", True),
        ("livekit", "deepgram/nova-3", True),
        ("anthropic", "claude-3-5-haiku-20241022", True),
        ("rime", "arcana", False),
    ],
)
def test_a_similar_name_is_another_model(provider: str, model: str, known: bool) -> None:
    assert (catalogue.rates(provider, model, "2026-11-21") is not None) == known


def test_of_a_price_that_rises_with_a_requests_length_the_lowest_is_taken() -> None:
    found = catalogue.rates("anthropic", "claude-sonnet-4-5", "2026-11-21")
    assert found is not None
    assert (found["input"], found["cache_write"], found["output"]) == (3, 3.75, 15)


PRICES = """
import sys
def refuse(event, args):
    if event.startswith(("socket.", "urllib.", "http.")) and event != "socket.__new__":
        raise SystemExit(f"asked the network: {event} {args}")
sys.addaudithook(refuse)
from prefactor_agent.view.model.catalogue import rates
assert rates("openai", "gpt-4o", "2026-11-21")["input"] == 2.5
assert rates("nobody", "nothing", "2026-11-21") is None
import threading
assert threading.active_count() == 1
"""


def test_nothing_is_asked_of_the_network() -> None:
    subprocess.run([sys.executable, "-c", PRICES], check=True, timeout=120)
