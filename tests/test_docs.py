"""What the documents show is so: their commands run, and what they name is there. Their programs
are run by ``test_docs_programs.py``."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import yaml
from livekit.agents import cli as livekit_cli
from samples.gallery.calls import hold

import prefactor_agent
from prefactor_agent import testing
from prefactor_agent.config import TABLE
from prefactor_agent.stored.span import StoredSpan
from support.documents import DOCUMENTS, ROOT, Block, blocks, names
from view.commandline import run
from view.journals import write

SHELL = ("", "sh")
EXAMPLES = "\n  Examples:\n"
"""What stands above the examples that `--help` prints."""
LANGUAGES = {
    *SHELL,
    "python",  # test_docs_programs.py
    "diff",
    "sql",  # tests/archive/test_engines.py, with ClickHouse
    "text",  # no code
}
CALLS = {"01m7z4n6": ("1.4", 10), "01m80f5c": ("1.5", 0)}
"""How the ids of the documents' calls begin, their versions, and how many days ago they were."""
BUCKET = re.compile(r"s3://bucket/\w+")
NOT_RUN = {
    "fleet.md: -- Athena and Trino: the table, with partition projection in the place of a crawler":
    "only Athena and Trino know this dialect",
    "testing.md: from livekit.agents import AgentSession":
    "it wants a recording and OpenAI; tests/e2e/test_replayed_voice.py does the same offline",
}  # fmt: skip
"""The blocks that no test runs; a comment above each says why."""
ONLY_PARSED = {
    "tail": "follows calls until it is stopped",
    "ui": "serves until it is stopped",
    "push": "wants a service to deliver to",
    "demo": "holds a call in real time, as tests/demo do",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a journal that has the calls which the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    call = hold("slow-tool")
    write(folder / "journal.db", *(_named(call, id_, *more) for id_, more in CALLS.items()))
    (folder / "journal.db").chmod(0o600)
    return folder


@pytest.fixture
def here(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a reader is: beside an agent, with a journal and an archive of their own."""
    (tmp_path / "prefactor-demo").mkdir()
    for journal in ("journal.db", "prefactor-demo/journal.db"):
        shutil.copy(kept / "journal.db", tmp_path / journal)
    (tmp_path / "agent.py").write_text(
        "from livekit.agents import Agent\n\n\nclass Assistant(Agent):\n    pass\n"
    )
    (tmp_path / "src").mkdir()
    shutil.copy(tmp_path / "agent.py", tmp_path / "src" / "agent.py")
    for folder in ("tests", "node_exporter"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    with mock.patch("typer.launch"):
        yield tmp_path


def commands(block: Block) -> list[str]:
    """The command lines of a block: those with a prompt, if some have one; of what `--help` prints,
    the examples. Where the output goes is not ours."""
    text = block.text.partition(EXAMPLES)[2] if EXAMPLES in block.text else block.text
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in prompted or lines)
    called = (re.sub(r"^source <\((.*)\)$", r"\1", line) for line in bare)
    return [
        re.split(r" [|>] ", line)[0] if line.startswith("prefactor-agent ") else line
        for line in called
        if line
    ]


SHOWN = [
    block
    for block in blocks()
    if not block.not_run and (block.language in SHELL or EXAMPLES in block.text)
]


def test_each_block_is_run_or_says_why_not() -> None:
    assert {block.language for block in blocks()} <= LANGUAGES
    assert {block.name: block.not_run for block in blocks() if block.not_run} == NOT_RUN
    assert len(SHOWN) > 20


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_its_commands_run(block: Block, here: Path) -> None:
    for line in commands(block):
        for command in line.split(" && "):
            _run(shlex.split(command), here)


def test_there_are_the_commands_that_are_named() -> None:
    named = [name for document in DOCUMENTS for name in names(document)]
    lines = [line.split(" [")[0] for line in named if line.startswith("prefactor-agent ")]
    assert len(lines) > 10
    for line in lines:
        _, *words = shlex.split(line)
        subcommand = [word for word in words[:2] if word.isalpha() and word.islower()]
        told = _help(" ".join(subcommand if words[0] == "archive" else words[:1]))
        options = set(re.findall(r"(?<![\w-])--?\w[\w-]*", told))
        missing = [word for word in words if word.startswith("-") and word not in options]
        assert not missing, line


@pytest.mark.parametrize(
    "block", [b for b in blocks() if b.language == "diff"], ids=lambda b: b.name
)
def test_a_diff_names_what_there_is(block: Block) -> None:
    added = re.findall(r"^\+.*", block.text, re.MULTILINE)
    [imported] = (line for line in added if "import" in line)
    brought = set(re.findall(r"\w+", imported.partition(" import ")[2]))
    assert brought <= {*prefactor_agent.__all__}
    assert brought <= set(re.findall(r"\w+", " ".join(line for line in added if line != imported)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_it_names_is_there(document: Path) -> None:
    """The tests (``…`` and ``*`` stand for more of a name), the files and the other documents."""
    tests = {
        found
        for file in (ROOT / "tests").rglob("test_*.py")
        for found in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    files = [file.as_posix() for file in ROOT.glob("[bst]*/**/*.py")]
    for name in names(document):
        for test in re.findall(r"\btest_[\w…*]+(?!\.py|[\w…*])", name):
            begun, more, _ = re.match(r"(\w+)([…*]?)(.*)", test).groups()
            assert begun in tests or (more and any(known.startswith(begun) for known in tests)), (
                test
            )
        for file in re.findall(r"^[\w/]+\.py", name):
            assert any(path.endswith(f"/{file}") for path in files), file
    for link, place in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", document.read_text("utf-8")):
        target = document.parent / link if link else document
        assert "://" in link or target.exists(), link
        assert not place or "://" in link or place in places(target), f"{link}#{place}"


def places(document: Path) -> set[str]:
    """What a link into a document may name: its headings, as a forge and the site make addresses
    of them, and the names in the reference of the API."""
    text = re.sub(
        r"^ *```.*?^ *```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept} | {
        *re.findall(r"^::: (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("module", [prefactor_agent, testing], ids=lambda it: it.__name__)
def test_the_reference_has_each_public_name(module: ModuleType) -> None:
    """What it lacks may change with any release, by its own word."""
    document = ROOT / "docs" / "api.md"
    known = {*re.findall(r"^::: (.*)$", document.read_text("utf-8"), re.MULTILINE)}
    constants = {*names(document)}
    missing = [
        name
        for name in module.__all__
        if f"{module.__name__}.{name}" not in known and name not in constants
    ]
    assert missing == []


def test_the_site_has_each_page_and_no_other() -> None:
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("", lambda *_: None)  # what only mkdocs understands
    site = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), loader)
    pages = {page for part in site["nav"] for page in _pages(part)}
    there = {document.name for document in DOCUMENTS if document.parent.name == "docs"}
    assert pages - there == {"changelog.md", "contributing.md"}, "files beside docs"
    assert there - pages == set(), "pages that the nav of mkdocs.yml lacks"


def _pages(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    for below in part.values() if isinstance(part, dict) else part:
        yield from _pages(below)


def _run(words: list[str], here: Path) -> None:
    """Run a command, or look that there is what it asks for."""
    match [re.sub(r"^\.venv/bin/", "", words[0]), *words[1:]]:
        case ["prefactor-agent", command, *_] if command in ONLY_PARSED:
            options = {word for word in words if word.startswith("--")}
            assert options <= set(re.findall(r"--[\w-]+", _help(command)))
        case ["prefactor-agent", *rest]:
            archive, journal = here / "archive", here / "journal.db"
            if any(map(BUCKET.search, rest)):
                assert run("archive", "push", archive, journal=journal).returncode == 0
            local = [BUCKET.sub(str(archive), word).replace("/var/lib", str(here)) for word in rest]
            found = [one for word in local for one in (here.glob(word) if "*" in word else [word])]
            done = run(*found, journal=journal)
            assert done.returncode == 0, (words, done.stderr or done.stdout)
        case ["export", setting]:
            _known_variable(setting.partition("=")[0])
        case ["make", target, *rest]:
            targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {target, *(word for word in rest if "=" not in word)} <= {*targets}
        case ["pip", "install", what]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            name, *extras = re.findall(r"[\w.-]+", what)
            assert name in {".", project["name"]}
            assert {*extras} <= {*project["optional-dependencies"]}
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case ["python", "agent.py" | "samples/agent.py", command]:
            sources = Path(str(livekit_cli.__file__)).parent.glob("*.py")
            assert any(f"def {command}(" in file.read_text("utf-8") for file in sources), command
        case _:
            raise AssertionError(f"no test knows how to run this: {shlex.join(words)}")


def _help(command: str) -> str:
    told = run(*command.split(), "--help")
    assert told.returncode == 0, command
    return told.stdout


def _known_variable(name: str) -> None:
    ours = {setting.variable for setting in TABLE.values()}
    source = ROOT / "src" / "prefactor_agent" / "deliver" / "otlp"
    theirs = "".join(file.read_text("utf-8") for file in source.glob("*.py"))
    generic = name.removeprefix("OTEL_EXPORTER_OTLP_").removeprefix("TRACES_")
    assert name in ours or f'"{name}"' in theirs or f'"{generic}"' in theirs, name


def _named(
    call: Sequence[StoredSpan], beginning: str, version: str, days_ago: float
) -> list[StoredSpan]:
    """The same call under an id that begins so, of a version of the agent."""
    root = call[0]
    later_us = round((time.time() - 60 - days_ago * 86_400) * 1e6) - root.started_us

    def named(id_: str) -> str:
        return beginning.ljust(32, "0") if id_ == root.id else f"{beginning}{id_}"

    return [
        replace(
            span,
            id=named(span.id),
            session_id=named(root.id),
            parent_id=None if span is root else named(span.parent_id or ""),
            payload=span.payload
            | ({"agent_class": "Assistant", "agent_version": version} if span is root else {}),
            started_us=span.started_us + later_us,
            finished_us=(span.finished_us or span.started_us) + later_us,
        )
        for span in call
    ]
