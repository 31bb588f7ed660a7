"""What the documents show is so: their programs run, and their commands and settings are there."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentSession

from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, Use
from view.commandline import run

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    # Fences in turn open a block and close it.
    parts = re.split(r"^```(.*)\n", document.read_text(), flags=re.MULTILINE)
    return [parts[n + 1] for n in range(1, len(parts), 4) if parts[n] == language]


def commands() -> list[str]:
    """Each place of a document that calls the command line."""
    shown = [
        line
        for document in DOCUMENTS
        for block in blocks(document, "")
        for line in block.splitlines()
    ]
    named = [name for document in DOCUMENTS for name in names(document)]
    lines = (line.partition("#")[0].split(" [")[0].strip() for line in (*shown, *named))
    return [line for line in lines if line.startswith("prefactor-agent ")]


def names(document: Path) -> list[str]:
    """What stands in backticks."""
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose)]


async def test_the_agent_of_the_readme_is_traced(sink: MemorySink) -> None:
    [program] = (block for block in blocks(ROOT / "README.md", "python") if "run_app" in block)
    names: dict[str, Any] = {"__name__": "agent"}
    exec(compile(program, "agent.py", "exec"), names)
    model = ScriptedLLM([Use("look_up_order", {"order_id": "42"})], "It arrives on Friday.")
    async with AgentSession(llm=model) as session:
        await session.start(names["Assistant"]())
        await session.run(user_input="Where is order 42?")
    outputs = sink.one("livekit:tool:look_up_order")["result"]["outputs"]
    assert outputs == {"output": "Order 42 arrives on Friday."}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_its_programs_can_be_read(document: Path) -> None:
    for program in blocks(document, "python"):
        ast.parse(program)


def test_there_are_the_commands_that_are_shown() -> None:
    assert len(commands()) > 10
    for line in commands():
        _, command, *words = shlex.split(line)
        group = [words[0]] if command == "archive" else []
        told = run(command, *group, "--help")
        assert told.returncode == 0, line
        options = set(re.findall(r"(?<![\w-])--?\w[\w-]*", told.stdout))
        missing = [word for word in words if word.startswith("-") and word not in options]
        assert not missing, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_it_names_is_there(document: Path) -> None:
    """The tests (``…`` and ``*`` stand for more of a name), the files and the other documents."""
    tests = {
        found
        for file in (ROOT / "tests").rglob("test_*.py")
        for found in re.findall(r"def (test_\w+)", file.read_text())
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
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert "://" in link or (document.parent / link).exists(), link
