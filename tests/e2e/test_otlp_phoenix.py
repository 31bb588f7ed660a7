"""Calls in Arize Phoenix, by what its API says: `make test-phoenix`."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from deliver.otlp.calls import phone_line, play, recorded, talk_to_a_realtime_model
from deliver.otlp.ended import of_journal
from prefactor_agent.core.ids import Ids
from prefactor_agent.deliver.otlp.mapping import request, to_span
from prefactor_agent.deliver.otlp.rows import EndedSpan
from prefactor_agent.demo.call import run_call
from prefactor_agent.demo.script import CALLER
from prefactor_agent.demo.server import OfflineOpenAI
from prefactor_agent.journal.reader import Journal
from support.phoenix import Phoenix

from .otlp import Exporting

PROGRAM = os.environ.get("PREFACTOR_TEST_PHOENIX")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Phoenix: make test-phoenix")


class Shown(NamedTuple):
    """A Phoenix with three calls: the demo's, one that is scripted, one of a realtime model."""

    phoenix: Phoenix
    journal: Path
    sessions: list[str]

    def spans(self, call: int) -> list[dict[str, Any]]:
        rows = [row for row in of_journal(self.journal) if row.session_id == self.sessions[call]]
        sent = [row for row in rows if row.type != "livekit:tool_result"]
        return self.phoenix.wait_for(self.sessions[call], len(sent))

    def usage(self, call: int) -> tuple[int, int]:
        """Tokens in and out that LiveKit counted."""
        journal = Journal(self.journal)
        used = journal.call(self.sessions[call])[0].result["usage"]["model_usage"]
        journal.close()
        (model,) = (one for one in used if one["type"] in ("llm_usage", "realtime_usage"))
        return model["input_tokens"], model["output_tokens"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    folder = tmp_path_factory.mktemp("phoenix")
    journal = folder / "journal.db"
    with Phoenix(Path(PROGRAM or ""), folder) as phoenix, pytest.MonkeyPatch.context() as patch:
        sinks = [
            await asyncio.to_thread(recorded, call)
            for call in (play(phone_line), talk_to_a_realtime_model())
        ]
        exporting = Exporting(journal, phoenix.url, patch)
        async with OfflineOpenAI() as server:
            await run_call(lambda who, what: None, server=server)
        for sink in sinks:
            exporting.keep(sink)
        await exporting.delivered()
        exporting.stop()
        scripted = [sink.spans[0].session_id for sink in sinks]
        sessions = {row.session_id for row in of_journal(journal)}
        (demo,) = sessions - {*scripted}
        yield Shown(phoenix, journal, [demo, *scripted])


@pytest.fixture(params=[0, 1, 2], ids=["demo", "scripted", "realtime"])
def call(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_a_call_is_one_session_with_one_trace_and_its_own_tokens(shown: Shown, call: int) -> None:
    spans = shown.spans(call)
    (session,) = (
        one for one in shown.phoenix.sessions() if one["session_id"] == shown.sessions[call]
    )
    assert len(session["traces"]) == 1
    assert {span["context"]["trace_id"] for span in spans} == {session["traces"][0]["trace_id"]}
    counted = session["token_count_prompt"], session["token_count_completion"]
    assert counted == shown.usage(call)


def test_kinds_are_those_of_the_mapping(shown: Shown, call: int) -> None:
    kinds = Counter(span["span_kind"] for span in shown.spans(call))
    assert kinds.keys() == {"AGENT", "LLM", "TOOL", "CHAIN"}
    for span in shown.spans(call):
        assert span["end_time"], "Phoenix never updates a span"
        assert span["status_code"] in ("OK", "ERROR", "UNSET")


def test_the_root_shows_the_conversation(shown: Shown, call: int) -> None:
    (root,) = (span for span in shown.spans(call) if span["parent_id"] is None)
    asked, told = (root["attributes"][f"{side}.value"] for side in ("input", "output"))
    assert asked
    assert "Agent: " in told
    if call == 0:
        assert [line.text for line in CALLER if line.text not in asked] == []
        assert "Agent (interrupted): Sending it back is easy." in told


def test_generations_have_messages_as_phoenix_draws_them(shown: Shown) -> None:
    for span in shown.spans(0):
        if span["span_kind"] == "LLM":
            known = span["attributes"]
            assert known["llm.model_name"] == "gpt-4.1"
            assert known["llm.provider"] == "openai"
            assert known["llm.input_messages.0.message.role"] == "system"
            assert known["output.value"] != known["gen_ai.response.id"]
            answered = "llm.output_messages.0.message.role"
            assert known[answered] == "assistant"


def test_a_realtime_reply_has_words_and_audio_tokens(shown: Shown) -> None:
    (reply,) = (one for one in shown.spans(2) if one["name"].startswith("generate_content"))
    known = reply["attributes"]
    assert (known["input.value"], known["output.value"]) == ("What is tea?", "Tea is three euros.")
    assert known["llm.token_count.prompt_details.audio"] == 10
    assert known["llm.token_count.completion_details.audio"] == 19


def test_a_failed_tool_and_an_interrupted_answer_look_so(shown: Shown) -> None:
    spans = shown.spans(0)
    (failed,) = (one for one in spans if one["name"] == "execute_tool cancel_order")
    assert failed["status_code"] == "ERROR"
    assert [event["name"] for event in failed["events"]] == ["exception"]
    cut = [one for one in spans if one["attributes"].get("prefactor.interrupted")]
    assert len(cut) == 1
    assert cut[0]["attributes"]["output.value"].startswith("Sending it back is easy.")


def test_a_span_that_is_sent_again_is_there_once(shown: Shown, call: int) -> None:
    before = shown.spans(call)
    rows = [row for row in of_journal(shown.journal) if row.session_id == shown.sessions[call]]
    _post(shown.phoenix, rows)
    # Phoenix stores what it takes in order: once a later span is there, these have been looked at.
    later = Ids().new()
    _post(shown.phoenix, [rows[0]._replace(id=later, session_id=later)])
    shown.phoenix.wait_for(later, 1)
    assert sorted(one["id"] for one in shown.spans(call)) == sorted(one["id"] for one in before)
    test_a_call_is_one_session_with_one_trace_and_its_own_tokens(shown, call)


def _post(phoenix: Phoenix, rows: list[EndedSpan]) -> None:
    spans = [span for row in rows if (span := to_span(row)) is not None]
    sent = urllib.request.Request(
        f"{phoenix.url}/v1/traces",
        data=request(spans, {}).SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )
    with urllib.request.urlopen(sent) as answer:
        assert answer.status == 200
