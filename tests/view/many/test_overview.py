"""The overview's figures, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.many.compare import NotWantedError, compare, compare_gathered
from prefactor_agent.view.many.overview import VERSIONS, Overview, Share, overview
from prefactor_agent.view.many.overview_calls import WORST, Model, PeriodCalls
from prefactor_agent.view.many.stats import collect
from prefactor_agent.view.model.digest import Digest, Failure
from view.calls import session, spoken_call, us
from view.costs import LLM, STT, TTS, priced_session
from view.digests import digest_of
from view.journals import renamed
from view.versions import call


def made(spans: Sequence[StoredSpan]) -> Digest:
    return digest_of(list(spans), us(200_000))


def of(id_: str, version: str, turns_ms: list[float], **more: Any) -> Digest:
    return made(call(id_, version, turns_ms, **more))


def seen(calls: Iterable[Digest], agent: str = "", version: str = "") -> Overview:
    return overview(PeriodCalls(calls).of(agent, version))


NEW = [
    of("d", "v2", [900, 700], tool_ms=40, day=3),
    of("c", "v2", [800], cut=True, day=2),
]
OLD = [
    of("b", "v1", [1200], tool_ms=100, failed=True, day=1),
    of("a", "v1", [800, 1000, 2000], tool_ms=60),
]


def test_the_figures_of_all_calls() -> None:
    whole = seen([*NEW, *OLD]).whole
    assert (whole.calls, whole.statuses) == (4, {"complete": 4})
    dead_air, vad = whole.stats.lines[0], whole.stats.line("vad")
    # 700 800 800 900 1000 1200 2000
    assert (dead_air.count, dead_air.median_ms, dead_air.p95_ms) == (7, 900, 2000)
    assert vad is not None and (vad.count, vad.median_ms) == (7, 450)
    assert whole.parts == {"vad": 7400 / 14, "llm_ttft": 7400 / 14}
    assert whole.mean_ms == 7400 / 7
    assert (whole.interrupted, whole.tools_failed, whole.errors) == (Share(1, 7), Share(1, 3), 0)
    assert whole.stats.pickup[0].count == 4


def test_each_version_has_its_own_the_newest_first() -> None:
    found = seen([*NEW, *OLD])
    assert [(one.agent, one.version, one.figures.calls) for one in found.versions] == [
        ("Shop", "v2", 2),
        ("Shop", "v1", 2),
    ]
    new, old = (one.figures for one in found.versions)
    assert (new.stats.lines[0].median_ms, old.stats.lines[0].median_ms) == (800, 1100)
    assert (new.interrupted, old.interrupted) == (Share(1, 3), Share(0, 4))
    assert old.parts == {"vad": 625, "llm_ttft": 625}
    assert [one.first_us for one in found.versions] == [us(2 * 86_400_000), us(0)]


def test_the_sides_of_a_choice() -> None:
    calls = PeriodCalls([*NEW, *OLD])
    assert (calls.agents, calls.versions(), calls.versions("Nobody")) == (
        ["Shop"],
        ["v2", "v1"],
        [],
    )
    assert overview(calls.of("Shop", "v1")).whole.calls == 2
    assert overview(calls.of(version="v3")).whole.calls == 0


def test_what_is_said_of_latency_is_what_stats_says() -> None:
    calls = [*NEW, *OLD, made(renamed(spoken_call(), "e")), made([session()])]
    assert seen(calls).whole.stats == collect(call.latencies for call in calls)


def test_tools_errors_and_models() -> None:
    usage = priced_session([LLM, TTS], {"gpt-4o": {"input": 1.0, "output": 10.0}})
    found = seen([made([usage]), made(renamed([priced_session([LLM, STT])], "x")), *OLD])
    [tool] = found.tools
    assert (tool.name, tool.failed) == ("look_up", Share(1, 2))
    assert tool.took is not None and (tool.took.median_ms, tool.took.worst_ms) == (80, 100)
    assert [(one.model, one.used["calls"]) for one in found.models] == [
        (Model("llm", "openai/gpt-4o"), 2),
        (Model("stt", "deepgram/nova-3"), 1),
        (Model("tts", "cartesia/sonic-3"), 1),
    ]
    llm, stt, tts = found.models
    assert (llm.used["input_tokens"], llm.used["input_cached_tokens"]) == (2000, 800)
    assert (stt.used["audio_duration"], tts.used["characters_count"]) == (30, 200)
    assert llm.usd == found.whole.spent.by_model["openai/gpt-4o"]


def test_errors_are_counted_by_kind_and_by_call() -> None:
    error = StoredSpan(
        "e", "a", "a", "livekit:error", "error", "complete", us(1), us(1),
        {"source": "LLM", "error_type": "APIError"}, {},
    )  # fmt: skip
    spans = call("a", "v1", [800])
    found = seen([made([*spans, error, replace(error, id="f")]), *NEW])
    [errors] = found.errors
    assert (errors.kind, errors.count, errors.calls) == (Failure("LLM", "APIError"), 2, 1)
    assert found.whole.errors == 2


def test_the_worst_turns_of_all_versions() -> None:
    found = seen([*NEW, *OLD])
    assert [(one.ms, one.latency.session_id, one.version) for one in found.worst][:3] == [
        (2000, "a", "v1"),
        (1200, "b", "v1"),
        (1000, "a", "v1"),
    ]
    assert found.worst[0].latency.answer == "a-a2"
    assert found.worst[0].slowest == ("vad", 1000)
    # Of two that are as long, the newer one is first.
    assert [one.latency.session_id for one in found.worst[4:6]] == ["c", "a"]
    many = seen([of(f"n{n}", "v1", [float(n), float(n)]) for n in range(1, 40)])
    assert [one.ms for one in many.worst] == [float(40 - n // 2 - 1) for n in range(WORST)]


def test_few_versions_have_figures_of_their_own() -> None:
    found = seen(of(f"n{n}", f"v{n}", [800]) for n in range(VERSIONS + 3))
    assert [one.version for one in found.versions] == [f"v{n}" for n in range(VERSIONS)]
    assert (found.older_versions, found.whole.calls) == (3, VERSIONS + 3)


def test_what_was_not_measured_is_absent() -> None:
    found = seen([made([session()])])
    assert (found.whole.stats.lines, found.whole.parts, found.worst) == ((), {}, ())
    assert found.whole.interrupted.value is None
    assert (found.tools, found.errors, found.models) == ((), (), ())
    assert seen([]).whole.calls == 0


def test_a_comparison_is_the_same_however_the_calls_were_gathered() -> None:
    """The draws of an interval go by the order of the calls, not by their groups."""
    old = [of(f"a{n}", "v1", [800.0 + 7 * n, 900.0 + n]) for n in range(12)]
    new = [of(f"b{n}", "v2", [700.0 + 5 * n, 950.0 - n]) for n in range(12)]
    other = renamed(call("o", "v2", [400, 3000]), "b-other")
    other[0] = replace(other[0], payload={"agent_class": "Shop 2", "agent_version": "v2"})
    new.insert(5, made(other))
    calls = PeriodCalls(
        [one for pair in zip(new, [*old, old[0]], strict=True) for one in pair][:-1]
    )
    sides = [
        (version, [one.gathered for one in calls.of(version=version)]) for version in ("v1", "v2")
    ]
    assert len(sides[1][1]) == 2
    found = compare_gathered(sides[0], sides[1])
    assert found == compare(("v1", old), ("v2", new))
    assert found.rows[0].sure is not None
    quick = compare_gathered(sides[0], sides[1], sure=False)
    assert [row.difference for row in quick.rows] == [row.difference for row in found.rows]
    assert all(row.sure is None for row in quick.rows)


def test_a_comparison_that_nobody_waits_for_ends() -> None:
    asked = iter([True, True, False])
    sides = [
        (v, [one.gathered for one in PeriodCalls(c).of()]) for v, c in (("1", OLD), ("2", NEW))
    ]
    with pytest.raises(NotWantedError):
        compare_gathered(sides[0], sides[1], wanted=lambda: next(asked))
