"""Lets the pages of `docs/` link to files outside it, as they do on a forge.

mkdocs calls what is here while it builds (`hooks` in mkdocs.yml). A file that a page links to, a
sample for instance, becomes a page of the site, so that nothing has to be fetched from elsewhere;
`CHANGELOG.md` and `CONTRIBUTING.md` become pages as they are. The links follow."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
WHOLE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
"""Pages outside `docs`, by their path in the repository, and where they are on the site; the site
has a first page of its own in the place of the README."""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for path, page in WHOLE.items():
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, content=(ROOT / path).read_text("utf-8")))
    waiting = {path for file in files.documentation_pages() for path in _outside(file.src_uri)}
    seen: set[str] = set()
    while waiting := waiting - seen:
        path = waiting.pop()
        seen.add(path)
        if path not in WHOLE:
            files.append(File.generated(config, source_page(path), content=shown(ROOT / path)))
            if (ROOT / path).is_dir():
                waiting |= {one.relative_to(ROOT).as_posix() for one in listed(ROOT / path)}
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    return relocated(markdown, page.file.src_uri)


def relocated(markdown: str, page: str) -> str:
    """The text of a page with its links as the site needs them.

    Args:
        page: Where it is on the site, as mkdocs has it: the path of its source below `docs`.
    """
    here = posixpath.dirname(page)

    def follow(link: re.Match[str]) -> str:
        path = _target(link[1], page)
        if path is None:
            return link[1]
        inside = path.removeprefix("docs/")
        new = inside if inside != path else WHOLE.get(path) or source_page(path)
        return posixpath.relpath(new, here or ".")

    return _LINK.sub(follow, markdown)


def source_page(path: str) -> str:
    """Where a file of the repository is shown on the site."""
    return f"source/{path}.md"


def shown(path: Path) -> str:
    """A page with a file as it is, or with what a folder holds."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        links = (f"- [{one.name}]({path.name}/{one.name}.md)" for one in listed(path))
        return "\n".join([f"# {name}/", "", *links, ""])
    language = LANGUAGES.get(path.suffix, "")
    return f"# {name}\n\n````{language}\n{path.read_text('utf-8')}````\n"


def listed(path: Path) -> list[Path]:
    """The files of a folder that a reader may want to see."""
    return sorted(
        one
        for one in path.iterdir()
        if one.is_file() and one.suffix in LANGUAGES and one.stat().st_size
    )


def _outside(page: str) -> set[str]:
    """The files outside `docs` that a page links to, by their paths in the repository."""
    origin = _origin(page)
    if not (ROOT / origin).is_file():
        return set()
    found = (_target(link[1], page) for link in _LINK.finditer((ROOT / origin).read_text("utf-8")))
    return {path for path in found if path is not None and not path.startswith("docs/")}


def _origin(page: str) -> str:
    """The path in the repository of what a page was made of."""
    if (ROOT / "docs" / page).is_file():
        return f"docs/{page}"
    return next((path for path, where in WHOLE.items() if where == page), page)


def _target(link: str, page: str) -> str | None:
    """The path in the repository that a link leads to, if it leads there."""
    if ":" in link or link.startswith("/") or page.startswith("source/"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_origin(page)), link))
    return path if (ROOT / path).exists() else None
