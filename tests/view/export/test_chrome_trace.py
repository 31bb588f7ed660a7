"""The export for Perfetto, held against what the Trace Event Format asks for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jsonschema
import pytest

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.export.chrome_trace import chrome_trace
from view.calls import session, span, spoken_call, unanswered_call
from view.report.report_calls import HOSTILE, long, small

_AT = {"type": "integer", "minimum": 0}
_WHERE = {"pid": {"type": "integer"}, "tid": {"type": "integer"}, "name": {"type": "string"}}
SCHEMA = {
    # https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object", "additionalProperties": {"type": "string"}},
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        "properties": {"ph": {"const": "M"}, "args": {"type": "object"}, **_WHERE},
                        "required": ["ph", "pid", "name", "args"],
                    },
                    {
                        "properties": {"ph": {"const": "X"}, "ts": _AT, "dur": _AT, **_WHERE},
                        "required": ["ph", "pid", "tid", "name", "cat", "ts", "dur"],
                    },
                    {
                        "properties": {
                            "ph": {"const": "i"},
                            "s": {"enum": ["t", "p", "g"]},
                            "ts": _AT,
                            **_WHERE,
                        },
                        "required": ["ph", "pid", "tid", "name", "ts", "s"],
                    },
                    {
                        "properties": {
                            "ph": {"const": "C"},
                            "ts": _AT,
                            "args": {"additionalProperties": {"type": "number"}},
                            **_WHERE,
                        },
                        "required": ["ph", "pid", "name", "ts", "args"],
                    },
                ]
            },
        },
    },
}


def events(spans: Sequence[StoredSpan]) -> list[dict[str, Any]]:
    """The events of the trace, which is valid, and nested as viewers demand it."""
    trace = json.loads(json.dumps(chrome_trace(spans), allow_nan=False))
    jsonschema.validate(trace, SCHEMA)
    threads = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    named = {e["tid"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert set(threads) <= named, "every lane has a name"
    for stretches in threads.values():
        open_: list[int] = []
        for begun, ended in sorted(stretches, key=lambda pair: (pair[0], -pair[1])):
            while open_ and open_[-1] <= begun:
                open_.pop()
            assert not open_ or ended <= open_[-1], "neither inside nor apart"
            open_.append(ended)
    return list(trace["traceEvents"])


def test_lanes_are_threads_and_chunks_are_instants() -> None:
    found = events(spoken_call())
    lanes = {e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"}
    assert {*lanes.values()} >= {
        "Call",
        "Caller",
        "Agent",
        "Dead air",
        "STT",
        "LLM",
        "TTS",
        "Tools",
    }
    tool = next(e for e in found if e.get("cat") == "livekit:tool:look_up")
    assert (tool["ts"], tool["dur"], lanes[tool["tid"]]) == (3_000_000, 1_000_000, "Tools")
    assert tool["args"]["payload"] == {"inputs": {"order": "42"}}
    tokens = [e for e in found if e.get("cat") == "livekit:llm.output" and e["args"]["text"]]
    assert [(e["ts"], e["args"]["text"]) for e in tokens] == [
        (4_200_000, "It ships"),
        (4_390_000, " on Friday."),
    ]
    assert lanes[tokens[0]["tid"]] == "LLM"


def test_dead_air_holds_its_stages() -> None:
    found = events(spoken_call())
    air = next(e for e in found if e["name"] == "dead air")
    stages = [e for e in found if e.get("cat") == "silence.stage"]
    assert (air["ts"], air["dur"]) == (2_000_000, 2_400_000)
    assert sum(e["dur"] for e in stages) == air["dur"]
    assert "tool look_up" in {e["name"] for e in stages}


def test_voices_are_counters_that_come_back_to_silence() -> None:
    curve = [e for e in events(spoken_call()) if e["ph"] == "C" and e["name"] == "agent dBFS"]
    assert (curve[0]["ts"], curve[0]["args"]) == (4_400_000, {"above silence": 107})
    assert (curve[-1]["ts"], curve[-1]["args"]) == (6_400_000, {"above silence": 0})


def test_spans_that_overlap_get_a_lane_each() -> None:
    tools = [
        span("t1", "tool:a", 100, 300),
        span("t2", "tool:b", 200, 400),
        span("t3", "tool:c", 350, 500),
    ]
    found = events([session(), *tools])
    lanes = {e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"}
    placed = {e["name"]: lanes[e["tid"]] for e in found if e["ph"] == "X" and e["name"] in "abc"}
    assert placed == {"a": "Tools", "b": "Tools (2)", "c": "Tools"}


@pytest.mark.parametrize(
    "spans", [[], unanswered_call(), [session(None)], spoken_call()[1:], small()[4:5]]
)
def test_a_call_that_is_not_whole_is_exported(spans: list[StoredSpan]) -> None:
    assert events(spans)


def test_words_of_strangers_and_long_calls_are_exported() -> None:
    assert events(small(transcript=HOSTILE, output=HOSTILE, tool=HOSTILE))
    assert len(events(long(turns=100, seconds=600, chunks=5_000))) > 5_000
