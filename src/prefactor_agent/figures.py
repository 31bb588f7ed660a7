"""The figures of a call for whoever tells of it somewhere else: the same, number for number, as
``prefactor-agent sessions`` and ``show`` give."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .core.json import JSON, without_none
from .journal.reader import Journal
from .stored.figures import FIGURES
from .view.model.costs import cost_of_digest, rounded
from .view.model.digest import Digest, digest_of, kept
from .view.model.summary import summary_object


def figures(journal: Path, session_id: str) -> JSON:
    """The figures of a call that is over. What was not measured is absent.

    Raises:
        SourceError: The journal, or the call in it, cannot be read.
    """
    with contextlib.closing(Journal(journal)) as source:
        # The journal's writer has worked it out a moment ago, most often.
        listed = source.listed(session_id)
        digest = kept(listed) if listed is not None else None
        digest = digest or digest_of(source, session_id)
    summary = summary_object(digest.summary)
    failed = sum(tool.status == "failed" for tool in digest.tools)
    return without_none(
        {
            **{one.name: summary[one.name] for one in FIGURES if one.field is not None},
            "tools_failed": failed,
            **_cost(digest),
        }
    )


def _cost(digest: Digest) -> JSON:
    """``cost_partial`` says that the call cost more than that."""
    cost = cost_of_digest(digest)
    if cost is None or cost.usd is None:
        return {}
    partial = bool(cost.so_far or cost.unpriced)
    return {"cost_usd": rounded(cost.usd), "cost_partial": partial or None}
