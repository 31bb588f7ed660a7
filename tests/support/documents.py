"""The documents of the project, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<why>[^\n]*) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>.*)\n(?P<text>(?:.*\n)*?)^(?P=indent)```$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A code block."""

    document: str
    """The file's name."""
    language: str
    text: str
    not_run: str | None
    """Why no test runs it, if a comment above it says so."""

    @property
    def name(self) -> str:
        """Names it in a test's id: the document and the first line."""
        return f"{self.document}: {self.text.strip().splitlines()[0].strip()}"


@cache
def blocks() -> list[Block]:
    """Those of all documents."""
    return [
        Block(document.name, found["language"], _dedented(found), found["why"])
        for document in DOCUMENTS
        for found in _FENCE.finditer(document.read_text("utf-8"))
    ]


def names(document: Path) -> list[str]:
    """What stands in backticks in a document's text."""
    prose = re.sub(
        r"^ *```.*?^ *```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return [" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose)]


def _dedented(found: re.Match[str]) -> str:
    return re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
