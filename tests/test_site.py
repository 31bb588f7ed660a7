"""What makes the documentation site: links between the pages and files of the repository, and what
is looked at once it is built. (`make docs` builds it; `tests/e2e/test_site.py` looks at it in a
browser.)"""

from __future__ import annotations

from pathlib import Path

import pytest
from release.site.check import problems
from release.site.hooks import ROOT, relocated, shown


@pytest.mark.parametrize(
    ("page", "written", "on_the_site"),
    [
        ("fleet.md", "[a](otlp.md#delivery)", "[a](otlp.md#delivery)"),
        ("fleet.md", "[a](https://livekit.io/x.md)", "[a](https://livekit.io/x.md)"),
        ("fleet.md", "[a](../samples/agent.py)", "[a](source/samples/agent.py.md)"),
        ("fleet.md", "[a](../samples/grafana)", "[a](source/samples/grafana.md)"),
        ("fleet.md", "[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
        ("contributing.md", "[a](docs/architecture.md)", "[a](architecture.md)"),
        ("contributing.md", "[a](samples/agent.py)", "[a](source/samples/agent.py.md)"),
        ("fleet.md", "[a](#kubernetes)", "[a](#kubernetes)"),
        ("fleet.md", "kinds[name](event)", "kinds[name](event)"),
    ],
)
def test_a_link_leads_to_the_same_on_the_site(page: str, written: str, on_the_site: str) -> None:
    assert relocated(written, page) == on_the_site


def test_a_file_is_shown_as_it_is_and_a_folder_as_its_files() -> None:
    agent = ROOT / "samples" / "agent.py"
    assert agent.read_text("utf-8") in shown(agent)
    assert "(grafana/alerts.yml.md)" in shown(ROOT / "samples" / "grafana")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "guide").mkdir()
    (tmp_path / "style.css").write_text("body { background: url(picture.png) }")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="style.css"><link rel="canonical" href="https://here.example/">'
        '<a href="guide/#first">guide</a><a href="https://elsewhere.example/">out</a>'
    )
    (tmp_path / "guide" / "index.html").write_text('<h2 id="first"></h2><a href="..">back</a>')
    return tmp_path


def test_a_site_that_is_whole(site: Path) -> None:
    assert problems(site) == []


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "fetches https://cdn.example/a.js"),
        ('<img src="//cdn.example/a.png">', "fetches //cdn.example/a.png"),
        ('<link rel="preconnect" href="https://fonts.example">', "fetches https://fonts.example"),
        ("<style>@import 'https://fonts.example/a.css'</style>", "fetches https://fonts.example"),
        ('<p style="background: url(http://a.example/b)">', "fetches http://a.example/b"),
        ('<a href="guid/">', "guid/ leads nowhere"),
        ('<a href="../secret.html">', "leads nowhere"),
        ('<img src="picture.svg">', "picture.svg leads nowhere"),
        ('<a href="guide/#second">', "the page has no such place"),
        ('<a href="#top">', "the page has no such place"),
    ],
)
def test_what_is_wrong_with_a_site_is_found(site: Path, more: str, wrong: str) -> None:
    page = site / "guide" / ".." / "index.html"
    page.write_text(page.read_text() + more)
    [found] = problems(site)
    assert wrong in found


def test_a_style_sheet_that_fetches_is_found(site: Path) -> None:
    (site / "style.css").write_text("@font-face { src: url('https://fonts.example/a.woff2') }")
    [found] = problems(site)
    assert found == "style.css fetches https://fonts.example/a.woff2"
