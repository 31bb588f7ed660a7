"""Which calls are chosen, and that what is kept of a call says the same as the call itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic_core import from_json, to_json

from prefactor_agent.journal.reader import Journal
from prefactor_agent.stored.source import Listed
from prefactor_agent.stored.span import StoredSpan
from prefactor_agent.view.model.call_latencies import call_latencies, latencies
from prefactor_agent.view.model.calltree import build
from prefactor_agent.view.model.digest import VERSION, Digest, Wanted, digest_text, digests, kept
from prefactor_agent.view.model.summarize import summarize
from view.calls import SESSION, over_budget_call, searching_call, spoken_call, unanswered_call
from view.costs import LLM
from view.digests import digest_of
from view.journals import write
from view.tool_calls import refused_call
from view.versions import call


def root(id_: str, payload: dict[str, object], at: int, until: int | None = None) -> StoredSpan:
    ended = at + 1 if until is None else until
    return StoredSpan(
        id_, id_, None, "livekit:session", "session", "complete", at, ended, payload, {}
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    path = write(
        tmp_path / "journal.db",
        [root("a", {"agent_name": "shop", "agent_version": "1"}, 100_000_000)],
        [root("b", {"agent_class": "Shop", "agent_version": 2}, 200_000_000, 500_000_000)],
        [root("c", {"job": {"agent_name": "phone"}}, 300_000_000)],
    )
    with closing(Journal(path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["c", "b", "a"]),
        (Wanted(since_us=200_000_000), ["c", "b"]),
        (Wanted(until_us=200_000_000), ["a"]),
        (Wanted(at_us=450_000_000), ["b"]),
        (Wanted(agent="phone"), ["c"]),
        (Wanted(agent="Shop", version="2"), ["b"]),
        (Wanted(agent="Shop", version="1"), []),
    ],
)
def test_calls_are_chosen_by_time_agent_and_version(
    journal: Journal, wanted: Wanted, expected: list[str]
) -> None:
    assert [digest.id for digest in digests(journal, wanted)] == expected


@pytest.mark.parametrize(
    "make", [spoken_call, over_budget_call, unanswered_call, searching_call, refused_call]
)
def test_a_digest_says_what_the_call_says(
    tmp_path: Path, make: Callable[[], list[StoredSpan]]
) -> None:
    with closing(Journal(write(tmp_path / "journal.db", make()))) as journal:
        tree = build(journal.call(SESSION))
        listed = Listed(SESSION, "complete", 0, 0, from_json(digest_text(journal, SESSION)))
    digest = kept(listed)
    assert digest is not None
    assert digest.summary == summarize(tree)
    assert digest.turns == latencies(tree)
    assert digest.latencies == call_latencies(SESSION, tree)
    assert [tool.name for tool in digest.tools] == [span.name for span in tree.spans("tool")]
    assert len(digest.errors) == len(tree.spans("error"))


def test_a_digest_of_the_version_before_says_the_same() -> None:
    """As archives have it: an object for each turn, with its stages as they came."""
    own = call("a", "v1", [500.0, 700.0, 300.0], tool_ms=20)
    own[0].result["usage"] = {"model_usage": [LLM]}
    digest = digest_of(own)
    turns = [{**turn._asdict()} for turn in digest.turns]
    for turn in turns:
        del turn["session_id"]
    old = {**digest.data, "digest": 4, "turns": turns}
    del old["usage_so_far"]
    found = kept(Listed(SESSION, "complete", 0, 0, from_json(to_json(old))))
    assert found is not None
    assert found.turns == digest.turns and len(found.turns) > 1
    assert (found.summary, found.usage, found.latencies.stages) == (
        digest.summary,
        digest.usage,
        digest.latencies.stages,
    )
    # It had nothing of what was used by a call that has not told its sum.
    assert kept(Listed(SESSION, "failed", 0, 0, {**old, "usage": []})) is None


def test_who_reads_digests_loads_nothing_that_works_them_out() -> None:
    """A list of calls is to be there at once."""
    program = (
        "import sys, prefactor_agent.view.model.digest, prefactor_agent.view.terminal.listing\n"
        "print([m for m in sys.modules if m.startswith('prefactor_agent.conversation')"
        " or m.endswith('.calltree')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_a_digest_of_another_version_is_not_read() -> None:
    assert kept(Listed("a", "complete", 0, 0, {"digest": 0})) is None
    assert kept(Listed("a", "complete", 0, 0, None)) is None
    assert isinstance(kept(Listed("a", "complete", 0, 0, {"digest": VERSION})), Digest)
