"""A text session of an agent that somebody else wrote, after `prefactor-agent init --write`.

`python -I foreign.py NAME JOURNAL`, in the folder that has the agent's file and with the installed
package: the model is the demo's, on loopback, with a script of this agent's own."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from livekit.agents import AgentSession
from livekit.plugins import openai

from prefactor_agent import TracedAgent, configure, flush
from prefactor_agent.demo.chat import Pace
from prefactor_agent.demo.script import Call, Rule
from prefactor_agent.demo.server import OfflineOpenAI


class Foreign(NamedTuple):
    """What is asked of an agent, and what its trace must have."""

    agent: str
    """Its class."""
    rule: Rule
    outcome: str
    """Stands in the result of the tool."""
    userdata: dict[str, Any] | None = None
    """Of its session, whose class is `Userdata` in its file."""


SESSIONS = {
    "basic_agent": Foreign(
        "MyAgent",
        Rule(
            "What is the weather in Paris?",
            "It is {lookup_weather}",
            (
                Call(
                    "lookup_weather", {"location": "Paris", "latitude": "48.9", "longitude": "2.4"}
                ),
            ),
        ),
        "sunny with a temperature of 70 degrees.",
    ),
    "basic_dtmf_agent": Foreign(
        "DtmfAgent",
        Rule(
            "Which services are there?",
            "Your number first.",
            (Call("ask_for_service_options", {}),),
        ),
        "Phone number not provided",
    ),
    "survey_agent": Foreign(
        "SurveyAgent",
        Rule(
            "My name is Ada Lovelace.",
            "Thank you, Ada.",
            (Call("record_intro", {"name": "Ada Lovelace", "intro_notes": "wrote a program"}),),
        ),
        "",
        {"filename": "results.csv", "candidate_name": "", "task_results": {}},
    ),
}


async def hold(module: Any, foreign: Foreign) -> None:
    """Ask the question."""
    agent = getattr(module, foreign.agent)()
    assert isinstance(agent, TracedAgent)
    given = {} if foreign.userdata is None else {"userdata": module.Userdata(**foreign.userdata)}
    async with OfflineOpenAI(pace=Pace.none(), rules=(foreign.rule,)) as server:
        model = openai.LLM(base_url=server.base_url, api_key="offline")
        async with AgentSession[Any](llm=model, **given) as session:
            greeted = asyncio.Event()
            # Each greets, one of them from within a task: a handoff comes first.
            session.on(
                "speech_created",
                lambda made: made.speech_handle.add_done_callback(lambda _: greeted.set()),
            )
            await session.start(agent)
            async with asyncio.timeout(60):
                await greeted.wait()
            await session.run(user_input=foreign.rule.question)
        await model.aclose()


def check(journal: Path, foreign: Foreign) -> None:
    """Look for the question, the tool and its outcome with the installed command."""
    command = Path(sys.executable).with_name("prefactor-agent")
    exported = subprocess.run(
        [command, "export", "--journal", journal], check=True, capture_output=True
    )
    spans = [json.loads(line) for line in exported.stdout.splitlines()]
    [tool] = foreign.rule.calls
    [traced] = [span for span in spans if span["type"] == f"livekit:tool:{tool.name}"]
    assert tool.arguments.items() <= traced["payload"]["inputs"].items(), traced
    assert foreign.outcome in json.dumps(traced["result"]), traced
    assert foreign.rule.question in exported.stdout.decode()
    models = [span for span in spans if span["type"] == "livekit:llm"]
    assert any(span["result"]["streams"] for span in models), "the nodes were traced"


def main() -> None:
    name, journal = sys.argv[1], Path(sys.argv[2])
    sys.path.insert(0, str(Path.cwd()))
    configure(journal=journal)
    asyncio.run(hold(importlib.import_module(name), SESSIONS[name]))
    assert flush(10)
    check(journal, SESSIONS[name])


if __name__ == "__main__":
    main()
