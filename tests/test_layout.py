"""The architecture as rules: which floor may import which, no circle of files, and what is allowed
in one place only. Imports for type checkers count, too. Each rule is shown to be able to fail, on
made-up modules, at the end."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import prefactor_agent
from support.layout import Source, private_reads, within

SOURCE = Source.read(Path(prefactor_agent.__file__).parent)

FLOORS = {
    "core": "",
    "conversation": "core",
    "schemas": "stored core",
    "pricing": "core",
    "request_usage": "core",
    "livekit_version": "",
    "checks": "pricing conversation core",
    "settings_table": "checks core",
    "config": "settings_table checks core",
    "tool_options": "config core",
    "redact": "config schemas core",
    "stored": "core",
    # record: recorder → {models, tools, session → room} → turns → {intercept, audio} → spans
    # → livekit
    "record.livekit": "core",
    "record.spans": "record.livekit core",
    "record.audio": "record.spans record.livekit core",
    "record.recording": "record.turns record.audio record.spans stored core",
    "record.intercept": "record.spans record.livekit core",
    "record.turns": "record.intercept record.audio record.spans record.livekit conversation core",
    "record.models": "record.turns record.intercept record.audio record.spans record.livekit"
    " conversation config core",
    "record.tools": "record.turns record.intercept record.audio record.spans record.livekit"
    " conversation config core",
    "record.room": "record.turns record.intercept record.audio record.spans record.livekit"
    " conversation core",
    "record.session": "record.room record.turns record.intercept record.audio record.spans"
    " record.livekit conversation config core",
    "record": "record.recording record.models record.tools record.session record.room record.turns"
    " record.intercept record.audio record.spans record.livekit conversation config core",
    "metrics": "conversation core",
    "metrics.prometheus": "journal metrics config core",
    "journal": "stored redact tool_options config metrics core",
    "figures": "view.model journal stored core",
    "deliver.common": "journal config core",
    "deliver.prefactor": "figures deliver.common journal stored schemas config core",
    "deliver.otlp": "deliver.common journal redact schemas config pricing request_usage"
    " conversation core",
    "deliver": "deliver.prefactor deliver.otlp deliver.common journal config core",
    "archive": "journal stored config core",
    "pipeline": "archive view.model stored deliver deliver.prefactor deliver.common"
    " metrics.prometheus journal config core",
    "rewrite": "",
    "view": "",
    "view.model": "stored pricing request_usage conversation core",
    "view.many": "view.model pricing conversation core",
    "view.terminal": "view.many view.model stored conversation core",
    "view.report": "view.model stored conversation core",
    "view.export": "view.model stored conversation core",
    "view.ui": "view.report view.many view.model stored config conversation core",
    "replay": "view.model stored redact core",
    # What a user's program and tests meet, which joins the rest.
    "tracing": "pipeline metrics.prometheus record record.session record.intercept record.livekit"
    " config core",
    "ahead": "view.model archive deliver deliver.prefactor deliver.otlp deliver.common config core",
    "preload": "agent tools ahead compat",
    "agent": "tracing ahead record.session record.intercept",
    "tools": "agent config record.tools record.turns record.intercept record.livekit tool_options"
    " core",
    "compat": "tracing pipeline record deliver.prefactor journal schemas config core",
    "testing": "tracing replay view.model journal stored record.livekit redact tool_options config"
    " conversation core",
    "demo": "view.terminal view.report journal .",
    "__main__": "cli",
    "cli": "demo view.terminal view.report view.export view.ui view.many view.model replay deliver"
    # The last is the package itself, which has the version.
    " deliver.common deliver.prefactor metrics.prometheus archive journal stored config checks"
    " rewrite core .",
    ".": "agent tools tracing compat livekit_version config record.session",
}
"""By floor, the floors that it may import."""

TYPES = {"core.json", "journal.errors"}
"""Files that may be short, as a type is all that they are for."""

HTTP = {
    "aiohttp",
    "httpx",
    "requests",
    "urllib3",
    "urllib.request",
    "http.client",
    "prefactor_http",
}
KNOWS_HTTP = ("deliver.", "view.ui.", "compat.instances", "demo.server")
KNOWS_LIVEKIT = {"record", "agent", "tools", "tracing", "compat", "testing", "demo"}
WITHOUT_LIVEKIT = [
    "archive",
    "cli",
    "stored",
    "journal",
    "deliver",
    "view",
    "config",
    "redact",
    "conversation",
    "metrics",
    "replay",
]
"""What reads a trace. LiveKit takes two seconds to import, and is not there where a journal is only
looked at."""


def test_imports_point_one_way() -> None:
    assert SOURCE.wrong_ways(FLOORS) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert SOURCE.circles() == []


def test_files_have_a_size_that_can_be_read_at_once() -> None:
    assert SOURCE.of_wrong_size(30, 400, TYPES) == []


def test_only_the_journal_and_the_archive_have_sql() -> None:
    """Each that of its own database: no view asks either but through :mod:`..stored.source`."""
    found = [one for one in SOURCE.with_sql() if not one.startswith(("journal.", "archive."))]
    assert found == []


def test_who_knows_livekit() -> None:
    """Besides what records: what a program builds its agents with, and what replays a call."""
    assert {one.partition(".")[0] for one in SOURCE.importing({"livekit"})} == KNOWS_LIVEKIT


@pytest.mark.parametrize("floor", WITHOUT_LIVEKIT)
def test_what_reads_a_trace_does_without_livekit(floor: str) -> None:
    # One command holds a call: the demo.
    assert SOURCE.loading(floor, {"livekit"}, but="demo" if floor == "cli" else "") == []


def test_livekit_and_http_never_meet() -> None:
    """What runs on the agent's event loop cannot call out."""
    talking = SOURCE.importing(HTTP)
    assert [one for one in talking if not one.startswith(KNOWS_HTTP)] == []
    assert talking & SOURCE.importing({"livekit"}) == set()
    assert SOURCE.loading("record", HTTP) == []


def test_conversation_is_pure() -> None:
    """No clock, no thread, no file: the same facts make the same conversation."""
    unwanted = {"time", "datetime", "asyncio", "threading", "random", "os", "logging", "pathlib"}
    assert (
        SOURCE.importing(unwanted)
        & {
            SOURCE.short(module)
            for module in SOURCE.trees
            if within(SOURCE.short(module), "conversation")
        }
        == set()
    )
    assert SOURCE.loading("conversation", {"prefactor_agent.core.clock"}) == []


def test_the_model_of_a_call_draws_nothing() -> None:
    assert SOURCE.loading("view.model", {"rich", "jinja2"}) == []
    assert SOURCE.loading("view.many", {"rich", "jinja2"}) == []


def test_only_tests_import_testing() -> None:
    testing = {"prefactor_agent.testing"}
    assert [one for one in SOURCE.importing(testing) if not within(one, "testing")] == []


def test_what_is_private_to_a_module_stays_in_it() -> None:
    assert SOURCE.private_imports() == []


def test_one_module_reads_what_is_private_to_livekit() -> None:
    assert set(SOURCE.foreign_private_names("livekit")) <= {"record.livekit.private"}


# Each rule can fail


def made_up(**texts: str) -> Source:
    """A package ``p``. In a name, ``__`` stands for the dot; ``packages`` are those that have
    something in them."""
    named = {name.replace("__", "."): text for name, text in texts.items()}
    packages = {name.rpartition(".")[0] for name in named}
    return Source("p", {"": "", **dict.fromkeys(packages, ""), **named}, packages)


@pytest.mark.parametrize(
    "text",
    [
        "from .. import top",
        "from ..top import value",
        "import p.top",
        "def later():\n    from ..top import value",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..top import value",
    ],
)
def test_an_import_against_the_way_is_seen(text: str) -> None:
    source = made_up(low__file=text, top="value = 1")
    assert source.wrong_ways({"low": "", "top": "low", ".": ""}) == ["low.file imports top"]
    assert source.wrong_ways({"low": "top", "top": "", ".": ""}) == []


def test_a_file_on_no_floor_is_seen() -> None:
    assert made_up(other="").wrong_ways({".": ""}) == ["other is on no floor"]


def test_floors_inside_a_folder_are_told_apart() -> None:
    floors = {"record": "record.tools", "record.tools": "", "record.models": "", ".": ""}
    source = made_up(
        record__recorder="from .tools import a",
        record__tools__a="from ..models import b",
        record__models__b="",
    )
    assert source.wrong_ways(floors) == ["record.tools.a imports record.models.b"]


def test_a_circle_is_seen_also_one_of_types() -> None:
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a"
    source = made_up(a="from . import b", b="from .c import x", c=types + "\nx = 1", d="import p.a")
    assert source.circles() == [["a", "b", "c"]]
    assert made_up(a="from . import b", b="from . import c", c="").circles() == []
    two = made_up(a="from . import b", b="from . import a", c="import p.d", d="import p.c")
    assert two.circles() == [["a", "b"], ["c", "d"]]


def test_a_file_of_the_wrong_size_is_seen() -> None:
    lines = "x = 1\n"
    source = made_up(
        short=lines * 29, fits=lines * 30, long=lines * 401, small=lines, a__b=lines * 30
    )
    assert source.of_wrong_size(30, 400, {"small"}) == ["short is too short", "long is too long"]


@pytest.mark.parametrize(
    "text",
    [
        "import sqlite3",
        "x = 'SELECT id FROM spans'",
        "x = f'DELETE FROM {table}'",
        "x = 'UPDATE calls '\\\n    'SET wanted = 1'",
        "x = 'PRAGMA user_version'",
    ],
)
def test_sql_is_seen(text: str) -> None:
    assert made_up(file=text).with_sql() == {"file"}


def test_words_are_no_sql() -> None:
    text = '"""SELECT x FROM y is SQL."""\nx = "Select one from the list; update it, set it"'
    assert made_up(file=text).with_sql() == set()


def test_a_library_that_is_loaded_by_another_file_is_seen() -> None:
    source = made_up(
        view__page="from ..record import parts",
        record__parts="from .deep import x",
        record__deep="import livekit.agents\nx = 1",
        types="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import livekit",
    )
    assert source.loading("view", {"livekit"}) == ["view.page loads livekit.agents"]
    assert source.loading("view", {"livekit"}, but="record") == []
    assert source.loading("view", {"livekit"}, but="types") == ["view.page loads livekit.agents"]
    assert source.loading("types", {"livekit"}) == [], "a type loads nothing"
    assert source.importing({"livekit"}) == {"record.deep", "types"}


def test_a_library_that_a_folder_loads_is_loaded_with_each_file_in_it() -> None:
    source = made_up(view="import rich", view__model="")
    assert source.loading("view.model", {"rich"}) == ["view.model loads rich"]


def test_a_private_name_of_another_module_is_seen() -> None:
    source = made_up(a="_own = 1", b="from .a import _own", c="from . import a\na._own")
    assert source.private_imports() == ["b imports a._own"]


def test_a_private_name_of_the_library_is_seen() -> None:
    source = made_up(
        a="import livekit\nlivekit.agent._secret",
        b="from livekit._inner import x",
        c="import livekit\nclass A:\n    def __init__(self):\n        self._own = 1\nb._own",
        d="x._elsewhere",
    )
    assert source.foreign_private_names("livekit") == {
        "a": ["_secret (line 2)"],
        "b": ["livekit._inner.x"],
    }


def test_private_names_are_seen_by_attribute_and_by_name() -> None:
    tree = ast.parse("a._b\ngetattr(c, '_d')\nself._own\nx.__class__\n")
    assert [name for _, name in private_reads(tree)] == ["_b", "_d"]


def test_the_source_is_read() -> None:
    reached = SOURCE.reaches("prefactor_agent.agent")
    assert any(within(one, "livekit.agents") for one in reached)
    assert "prefactor_agent.record.recorder" in reached
    assert "prefactor_agent.journal.writer" in SOURCE.graph["prefactor_agent.pipeline"]
    assert "journal.writer" in SOURCE.with_sql()
    assert "_queue" not in str(SOURCE.foreign_private_names("livekit"))
