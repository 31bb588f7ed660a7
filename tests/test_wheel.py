"""The built wheel, installed in an empty environment outside the checkout, works like the
checkout."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
SITE = Path(sysconfig.get_path("purelib"))


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    if importlib.util.find_spec("hatchling") is not None:
        build = ["-m", "build", "--wheel", "--no-isolation", "--outdir"]
        run(sys.executable, *build, out, CHECKOUT, cwd=out)
    else:  # hatchling comes from the package index
        build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
        run(sys.executable, *build, out, CHECKOUT, cwd=out)
    (built,) = out.glob("prefactor_agent-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own, which sees the dependencies that the tests run with."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=False)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python"]
    options = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run(*pip, *options, wheel, cwd=home)
    # Behind what is installed here; a .pth of the tests' environment (the checkout) is not read.
    (purelib / "dependencies.pth").write_text(f"{SITE}\n")
    return home


def python(installed: Path, code: str) -> str:
    return run(installed / "bin" / "python", "-c", code, cwd=installed.parent).strip()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(CHECKOUT / "src"))
        for path in (CHECKOUT / "src" / "prefactor_agent").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == sources


def test_the_command_works(installed: Path, tmp_path: Path) -> None:
    command = installed / "bin" / "prefactor-agent"
    told = run(command, "--version", cwd=installed.parent)
    assert "0.1.0" in told
    told = run(command, "--help", cwd=installed.parent, PREFACTOR_JOURNAL=str(tmp_path / "j.db"))
    assert "sessions" in told


def test_it_is_imported_from_there(installed: Path) -> None:
    found = python(
        installed,
        "import prefactor_agent; from prefactor_agent import TracedAgent, traced_tool;"
        "print(prefactor_agent.__file__, TracedAgent.__name__)",
    )
    assert found.startswith(str(installed)), found
    assert str(CHECKOUT) not in found


def test_type_checkers_see_its_types(installed: Path) -> None:
    code = (
        "from importlib.resources import files;"
        "print(files('prefactor_agent').joinpath('py.typed').is_file())"
    )
    assert python(installed, code) == "True"


def test_the_report_has_its_page(installed: Path) -> None:
    code = (
        "from importlib.resources import files;"
        "folders = [files('prefactor_agent.view.' + p) for p in ('report', 'ui')];"
        "folders.append(folders[0] / 'script');"
        "print(*(f.name for folder in folders for f in folder.iterdir()))"
    )
    found = set(python(installed, code).split())
    assert {"page.html.j2", "page.css", "data.js", "start.js"} <= found
    assert {"list.html.j2", "list.css", "list.js", "live.js"} <= found


def test_pytest_finds_the_fixture(installed: Path, tmp_path: Path) -> None:
    listed = run(installed / "bin" / "python", "-m", "pytest", "--fixtures", cwd=tmp_path)
    assert "prefactor_trace" in listed


def test_a_call_is_traced_and_reported_from_there(installed: Path, tmp_path: Path) -> None:
    journal, page = tmp_path / "journal.db", tmp_path / "call.html"
    agent = tmp_path / "agent.py"
    agent.write_text(
        "import asyncio\n"
        "from livekit.agents import AgentSession\n"
        "from prefactor_agent import TracedAgent\n"
        "class Greeter(TracedAgent):\n"
        "    def llm_node(self, *args):\n"
        "        return 'from the wheel'\n"
        "async def main():\n"
        "    session = AgentSession()\n"
        "    await session.start(Greeter(instructions='greet'))\n"
        "    await session.say('from the wheel')\n"
        "    await session.aclose()\n"
        "asyncio.run(main())\n"
    )
    settings = {"PREFACTOR_JOURNAL": str(journal), "NO_COLOR": "1"}
    run(installed / "bin" / "python", agent, cwd=tmp_path, **settings)
    command = installed / "bin" / "prefactor-agent"
    assert "from the wheel" in run(command, "show", cwd=tmp_path, **settings)
    assert "from the wheel" in run(command, "export", cwd=tmp_path, **settings)
    code = (
        "from pathlib import Path; from prefactor_agent.journal.reader import Journal;"
        "from prefactor_agent.view.report.page import write_report;"
        f"journal = Journal(Path({str(journal)!r}));"
        f"write_report(journal, journal.find(), Path({str(page)!r}))"
    )
    python(installed, code)
    assert "from the wheel" in page.read_text()
