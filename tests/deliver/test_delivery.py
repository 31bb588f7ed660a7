from __future__ import annotations

from support.prefactor_server import PrefactorServer

from .calls import SPANS_PER_TURN, whole_call
from .conftest import Side


def check(server: PrefactorServer, spans: int) -> None:
    found = server.spans()
    assert len(found) == spans
    assert server.violations() == []
    assert {span.status for span in found} <= {"complete", "failed", "cancelled"}


def test_a_finished_call_arrives_whole(server: PrefactorServer, side: Side) -> None:
    whole_call(side.writer, turns=3)
    side.deliverer.start()
    assert side.flush()
    check(server, 3 * SPANS_PER_TURN + 1)
    [instance] = server.instances()
    assert instance["status"] == "complete"
    [root] = server.tree()
    assert root.type == "livekit:session"
    assert len(root.children) == 6
    bulks = [r for r in server.requests() if r["path"] == "/api/v1/bulk"]
    assert len(bulks) == 1
