"""The quality of a call at Prefactor is what our own lists say of it, number for number."""

from __future__ import annotations

import contextlib
import re

from prefactor_agent.figures import NAMES
from prefactor_agent.journal.reader import Journal
from prefactor_agent.schemas import templates
from prefactor_agent.view.export.outline import outline
from schemas.recorded import recorded
from support.prefactor_server import PrefactorServer
from support.prefactor_server.summaries import render

from ..conftest import Side


def test_every_number_is_that_of_sessions_and_show(server: PrefactorServer, side: Side) -> None:
    """Of the calls of the differential tests, among others."""
    for _, spans, _ in recorded():
        for span in spans:
            side.writer.put(span)
    side.deliverer.start()
    assert side.flush()
    sent = {
        instance["external_identifier"].rpartition("/")[2]: instance["id"]
        for instance in server.instances()
    }
    told = {record["agent_instance_id"]: record["payload"] for record in server.quality()}
    assert len(told) == len(sent) > 100
    with contextlib.closing(Journal(side.settings.journal)) as journal:
        for session_id, instance_id in sent.items():
            shown = outline(journal.call(session_id))
            for name in NAMES:
                number = len(shown[name]) if name == "turns" else shown[name]
                assert told[instance_id].get(name) == number, (session_id, name)
    assert server.violations() == []

    lines = {render(templates.CALL, payload, None) or "" for payload in told.values()}
    assert len(lines) > 10
    for line in lines:
        assert re.fullmatch(r"\d+ turns?(, \S+( \S+)*)*", line), line
        assert len(line) <= templates.LIMIT
    assert "3 turns, dead air 0.5 s (worst 0.7 s), 1 of 3 tool calls failed" in lines
