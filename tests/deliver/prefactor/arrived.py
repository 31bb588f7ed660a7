"""What must be true at Prefactor at the end of every test in which something went wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from prefactor_agent.core.clock import unix_us_to_rfc3339
from prefactor_agent.deliver.prefactor.registered_call import related_id
from prefactor_agent.journal.outbox import Outbox
from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored.span import StoredSpan
from support.prefactor_readers import expected_status
from support.prefactor_server import PrefactorServer

JSON = dict[str, Any]


def arrived(
    server: PrefactorServer,
    *journals: Path,
    refused: frozenset[str] = frozenset(),
    ignore: tuple[str, ...] = (),
) -> int:
    """Everything in the journals is at Prefactor: nothing lost, nothing doubled, each span below
    its own parent, with its own times, status and outcome; each call ended as its session did; and
    no rule of the contract was broken on the way.

    Args:
        refused: Types that Prefactor did not take: their children are below the next ancestor.
        ignore: Rules that the test itself had broken.

    Returns:
        How many spans that is.
    """
    there = {span.id: span for span in server.spans()}
    assert len(there) == len(server.spans()), "one id, several spans"
    instances = {i["external_identifier"].rpartition("/")[2]: i for i in server.instances()}
    expected: set[str] = set()
    sessions: set[str] = set()
    for journal in journals:
        with contextlib.closing(Outbox(journal)) as outbox:
            left = outbox.backlog()
            assert (left["spans"], left["calls"]) == (0, 0), f"not delivered: {left}"
            reader = Journal(journal)
            calls = {root.id: reader.call(root.id) for root in reader.sessions()}
            reader.close()
            given = {id_: outbox.remote_ids(id_) for id_ in calls}
        for session_id, spans in calls.items():
            sessions.add(session_id)
            instance = instances[session_id]
            assert instance["status"] == spans[0].status, "the call ended as its session did"
            ids = {
                span.id: given[session_id].get(span.id) or related_id(span.id, instance["id"])
                for span in spans
            }
            by_id = {span.id: span for span in spans}
            for span in spans:
                if span.type in refused:
                    assert ids[span.id] not in there
                    continue
                expected.add(ids[span.id])
                assert ids[span.id] in there, f"lost: {span.type} {span.name}"
                found = there[ids[span.id]]
                parent = _above(span, by_id, refused)
                assert found.parent_id == (ids[parent] if parent else None), span.type
                assert found.instance_id == instance["id"]
                assert found.type in (span.type, "livekit:tool")
                assert span.status != "active", span.type
                assert found.status == expected_status(span, by_id), span.type
                assert found.started_at == unix_us_to_rfc3339(span.started_us)
                assert found.finished_at == unix_us_to_rfc3339(span.finished_us or 0)
                assert found.payload.get("name") == span.payload.get("name")
                if found.result is not None and "truncated" not in found.result:
                    differ = _differ(found.result, span.result)
                    assert not differ, f"{span.type}: {differ}"
    assert there.keys() == expected, "something is there that was never recorded"
    assert instances.keys() == sessions
    assert server.violations(ignore=ignore) == []
    return len(expected)


def _above(span: StoredSpan, by_id: dict[str, StoredSpan], refused: frozenset[str]) -> str | None:
    parent = span.parent_id
    while parent is not None and by_id[parent].type in refused:
        parent = by_id[parent].parent_id
    return parent


def _differ(there: JSON, kept: JSON) -> JSON:
    """What is not the same, by key; of streams some rows may be left out on the way, and a tool's
    name is put in."""
    if "name" in (outputs := there.get("outputs") or {}) and "name" not in kept.get("outputs", {}):
        there = {**there, "outputs": {k: v for k, v in outputs.items() if k != "name"}}
    return {
        key: (there.get(key), kept.get(key))
        for key in (there.keys() | kept.keys()) - {"streams"}
        if there.get(key) != kept.get(key)
    }
