"""Looks at the built site: that nothing in it is fetched from elsewhere, and that its links lead
somewhere. What a reader has to click may lead to another host."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    ("script", "src"), ("img", "src"), ("img", "srcset"), ("iframe", "src"), ("source", "src"),
    ("source", "srcset"), ("video", "src"), ("audio", "src"), ("embed", "src"), ("object", "data"),
    ("form", "action"), ("base", "href"), ("use", "href"), ("input", "src"), ("track", "src"),
}  # fmt: skip
"""By tag, the attributes whose address a browser asks for by itself."""
NAMED_ONLY = {"canonical", "next", "prev"}
"""Relations of a ``<link>`` that no browser follows by itself."""
_IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class _Page(HTMLParser):
    """What one page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and not NAMED_ONLY & {*found.get("rel", "").split()}:
            self.fetched.append(found.get("href", ""))
        self.fetched += [found[name] for name in found if (tag, name) in FETCHED]
        self.fetched += in_style(found.get("style", ""))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.fetched += in_style(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def in_style(text: str) -> list[str]:
    """The addresses in a style sheet."""
    return [one or other for one, other in _IN_STYLE.findall(text)]


def problems(site: Path) -> list[str]:
    """What is wrong with a built site, a line each."""
    pages = {path: _Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name} fetches {one}" for one in page.fetched if elsewhere(one)]
        for link in (*page.links, *page.fetched):
            if not elsewhere(link) and (wrong := _leads(link, path, site, pages)):
                found.append(f"{name}: {wrong}")
    for path in site.rglob("*.css"):
        name = path.relative_to(site).as_posix()
        fetched: Iterable[str] = in_style(path.read_text("utf-8"))
        found += [f"{name} fetches {one}" for one in fetched if elsewhere(one)]
    return found if pages else [f"there is no page in {site}"]


def elsewhere(address: str) -> bool:
    """Whether it is on another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in {"http", "https"}


def _leads(link: str, path: Path, site: Path, pages: dict[Path, _Page]) -> str | None:
    """What is wrong with a link inside the site."""
    parts = urlsplit(link)
    if parts.scheme:  # mailto:, data:
        return None
    if path.name == "404.html" and parts.path.startswith("/"):
        return None  # it is served in the place of any page, so its addresses are those of a server
    target = path
    if parts.path:
        target = (path.parent / unquote(parts.path)).resolve()
        if target.is_dir():
            target /= "index.html"
    if not target.is_relative_to(site.resolve()) or not target.exists():
        return f"{link} leads nowhere"
    page = pages.get(target)
    if parts.fragment and page is not None and unquote(parts.fragment) not in page.ids:
        return f"{link}: the page has no such place"
    return None


def main() -> None:
    found = problems(Path(sys.argv[1]).resolve())
    print(
        "\n".join(found or ["The site fetches nothing from elsewhere; its links lead somewhere."])
    )
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
