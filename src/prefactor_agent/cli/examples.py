"""The examples at the end of each command's ``--help``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

EXAMPLES = {
    "": """
prefactor-agent demo                       # a call to look at: needs prefactor-agent[offline]
prefactor-agent init agent.py              # how an agent is traced
prefactor-agent show                       # its last call
prefactor-agent ui --open                  # all of its calls, in the browser
""",
    "sessions": """
prefactor-agent sessions -n 5
prefactor-agent sessions --at 14:05        # those that went on then
prefactor-agent sessions --failed          # an error, a failed tool, an unanswered question
prefactor-agent sessions --json | jq -r .id
""",
    "show": """
prefactor-agent show                       # the last call
prefactor-agent show 01m80f5c --at 14:05   # the turns of that minute
prefactor-agent show --json | jq .turns
""",
    "export": """
prefactor-agent export -o call.jsonl
prefactor-agent export 01m80f5c --format replay -o tests/call.json
prefactor-agent export --format chrome-trace -o call.json
""",
    "report": """
prefactor-agent report --open
prefactor-agent report 01m80f5c -o call.html
""",
    "ui": """
prefactor-agent ui --open
prefactor-agent ui --from s3://bucket/calls --port 0
""",
    "stats": """
prefactor-agent stats --since 7d
prefactor-agent stats --agent Assistant --version 1.4 --version 1.5
prefactor-agent stats --compare 1.4 1.5
""",
    "push": """
prefactor-agent push --dry-run
prefactor-agent push --to otlp --patience 300
""",
    "doctor": """
prefactor-agent doctor
prefactor-agent doctor --json > doctor.json
""",
    "tail": """
prefactor-agent tail
prefactor-agent tail --for 60 --json
""",
    "metrics": """
prefactor-agent metrics
prefactor-agent metrics -o /var/lib/node_exporter/prefactor.prom
""",
    "prune": """
prefactor-agent prune --days 7 --dry-run
prefactor-agent prune 01m80f5c
""",
    "evals-pack": """
prefactor-agent evals-pack -o pack.json
prefactor-agent evals-pack Assistant       # of all of its calls
""",
    "demo": """
prefactor-agent demo
prefactor-agent demo --out /tmp/call --wav call.wav
""",
    "init": """
prefactor-agent init agent.py              # only shows the diff
prefactor-agent init --write src/*.py
""",
    "completion": """
source <(prefactor-agent completion bash)  # in ~/.bashrc
source <(prefactor-agent completion zsh)   # in ~/.zshrc, below compinit
prefactor-agent completion fish | source   # in ~/.config/fish/config.fish
""",
    "archive push": """
prefactor-agent archive push s3://bucket/calls
""",
    "archive compact": """
prefactor-agent archive compact s3://bucket/calls
""",
    "archive ls": """
prefactor-agent archive ls s3://bucket/calls --json
""",
}
"""By the name of the command. The empty name has those of the program: the first things to do."""


def add(app: typer.Typer, *commands: Callable[..., Any], group: str = "") -> None:
    """Add commands to a program, each under the name of its function."""
    for command in commands:
        name = command.__name__.rstrip("_").replace("_", "-")
        app.command(name, epilog=epilog(f"{group} {name}".strip()))(command)


def epilog(name: str) -> str:
    """What stands below the options of a command."""
    lines = EXAMPLES[name].strip().splitlines()
    # With \b a paragraph is not wrapped.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
