"""``prefactor-agent init``: an agent's source before and after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from prefactor_agent.rewrite import NotUnderstoodError, traced


def rewritten(source: str) -> str:
    return traced(dedent(source).encode()).source.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            """\
            from livekit.agents import Agent, AgentSession, function_tool

            class Clerk(Agent):
                @function_tool
                async def price(self) -> str: ...  # kept
            """,
            """\
            from livekit.agents import AgentSession
            from prefactor_agent import TracedAgent, traced_tool

            class Clerk(TracedAgent):
                @traced_tool
                async def price(self) -> str: ...  # kept
            """,
            id="a class and its tool",
        ),
        pytest.param(
            """\
            from livekit import agents
            from livekit.agents import llm

            class Ask(agents.AgentTask[str], Mixin): ...
            @llm.function_tool(name="x")
            def tool(): ...
            other = llm.function_tool(tool, raw_schema={})
            """,
            """\
            from livekit import agents
            from livekit.agents import llm
            from prefactor_agent import TracedAgentTask, traced_tool

            class Ask(TracedAgentTask[str], Mixin): ...
            @traced_tool(name="x")
            def tool(): ...
            other = traced_tool(tool, raw_schema={})
            """,
            id="through modules",
        ),
        pytest.param(
            """\
            import os
            from livekit.agents.voice import Agent as Base
            import sys
            agent = Base(instructions="")
            """,
            """\
            import os
            from prefactor_agent import TracedAgent
            import sys
            agent = TracedAgent(instructions="")
            """,
            id="under another name",
        ),
        pytest.param(
            """\
            from livekit.agents import (
                Agent,  # the base
                AgentSession,
                function_tool,
            )
            def make() -> Agent:
                return Agent(instructions="")
            class A(Agent):
                async def on_enter(self) -> "function_tool": ...
                @function_tool
                async def go(self) -> None: ...
            """,
            """\
            from livekit.agents import (
                Agent,  # the base
                AgentSession,
                function_tool,
            )
            from prefactor_agent import TracedAgent, traced_tool
            def make() -> Agent:
                return TracedAgent(instructions="")
            class A(TracedAgent):
                async def on_enter(self) -> "function_tool": ...
                @traced_tool
                async def go(self) -> None: ...
            """,
            id="names that are still needed",
        ),
        pytest.param(
            """\
            from livekit.agents import Agent, AgentSession, function_tool
            from prefactor_agent import configure
            configure(states=True)
            class A(Agent):
                @function_tool
                async def go(self) -> None: ...
            """,
            """\
            from livekit.agents import AgentSession
            from prefactor_agent import configure, TracedAgent, traced_tool
            configure(states=True)
            class A(TracedAgent):
                @traced_tool
                async def go(self) -> None: ...
            """,
            id="ours is imported already",
        ),
        pytest.param(
            '''\
            """An agent."""
            def main():
                from livekit.agents import Agent
                return Agent(instructions="")
            ''',
            '''\
            """An agent."""
            from prefactor_agent import TracedAgent
            def main():
                from livekit.agents import Agent
                return TracedAgent(instructions="")
            ''',
            id="imported late",
        ),
        pytest.param(
            """\
            # Copyright
            import os
            # what an agent is
            from livekit.agents import Agent
            class A(Agent): ...
            """,
            """\
            # Copyright
            import os
            # what an agent is
            from livekit.agents import Agent
            from prefactor_agent import TracedAgent
            class A(TracedAgent): ...
            """,
            id="a comment is not lost",
        ),
    ],
)
def test_an_agent_becomes_a_traced_one(before: str, after: str) -> None:
    new = rewritten(before)
    assert new == dedent(after)
    assert rewritten(new) == new, "a second time changes nothing"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("from livekit.agents import *\nclass A(Agent): ...", "line 1: `from livekit.agents"),
        ("def (", "line 1: this is not Python"),
        (
            "from livekit.agents import Agent\nif x:\n    Agent = object\nclass A(Agent): ...",
            "line 4: Agent is defined in more than one way",
        ),
        (
            "from livekit.agents import Agent\nclass TracedAgent(Agent): ...",
            "TracedAgent is a name of its own",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(source: str, why: str) -> None:
    with pytest.raises(NotUnderstoodError, match="^" + why.replace("*", r"\*")):
        traced(source.encode())


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"class Agent: ...\nclass A(Agent): ...\n",
        b"from openai.agents import Agent\nclass A(Agent): ...\n",
        b"from livekit.agents import Agent\ndef f(a: Agent) -> None: ...\n",
        b"\xef\xbb\xbfx = 1\r\n",
    ],
)
def test_what_is_no_agent_stays_byte_for_byte(source: bytes) -> None:
    assert traced(source).source == source


def test_a_star_import_of_ours_is_not_extended() -> None:
    source = (
        "from prefactor_agent import *\nfrom livekit.agents import Agent\nclass A(Agent): ...\n"
    )
    assert "import *\nfrom prefactor_agent import TracedAgent\n" in rewritten(source)


def test_line_ends_encodings_and_tabs_stay() -> None:
    source = (
        "# coding: latin-1\r\nfrom livekit.agents import Agent\r\nclass A(Agent):\r\n\tx = 'é'\r\n"
    )
    expected = source.replace("livekit.agents import Agent", "prefactor_agent import TracedAgent")
    expected = expected.replace("(Agent)", "(TracedAgent)")
    assert traced(source.encode("latin-1")).source == expected.encode("latin-1")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefactor_agent", "init", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


AGENT = "from livekit.agents import Agent\n\n\nclass A(Agent): ...\n"


def test_init_shows_the_diff_and_applies_it_when_told_to(tmp_path: Path) -> None:
    agent, link = tmp_path / "agent.py", tmp_path / "link.py"
    agent.write_text(AGENT)
    agent.chmod(0o750)
    link.symlink_to(agent)
    shown = run(link)
    assert shown.returncode == 0 and agent.read_text() == AGENT
    assert "-class A(Agent): ...\n+class A(TracedAgent): ..." in shown.stdout
    assert "--write" in shown.stderr
    applied = run(link, "--write")
    assert applied.stdout == shown.stdout and link.is_symlink()
    assert "class A(TracedAgent)" in agent.read_text() and agent.stat().st_mode & 0o777 == 0o750
    again = run(agent, "--write")
    assert (again.returncode, again.stdout) == (0, "") and "nothing to change" in again.stderr


def test_one_file_that_is_refused_leaves_all_as_they_are(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(AGENT)
    bad.write_text("from livekit.agents import *\n")
    refused = run(good, bad, "--write")
    assert refused.returncode == 1 and good.read_text() == AGENT
    assert refused.stderr.count("\n") == 1 and str(bad) in refused.stderr
    assert "cannot be read" in run(tmp_path / "none.py").stderr
