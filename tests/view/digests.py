"""Digests of calls that are kept nowhere."""

from __future__ import annotations

from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.digest import VERSION, Digest
from prefactor_agent.view.model.digesting import digested
from prefactor_agent.view.model.summarize import summarize


def digest_of(call: list[StoredSpan], now_us: int | None = None) -> Digest:
    """The digest of a call whose process, if it has not ended, is gone."""
    tree = build(call)
    summary = summarize(tree, now_us, alive=False)
    return Digest({"digest": VERSION, **digested(call[0].session_id, tree, summary, 1)})
