"""Writes the reference of the command line into `docs/commands.md`, from the program itself:
`make commands`. What stands above the reference is written by hand, and is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup

from prefactor_agent.cli.program import command

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
HEADING = "## Reference\n"
WIDTH = 88
"""Columns of what `--help` prints."""


def page(now: str) -> str:
    """The page with a new reference.

    Args:
        now: The page as it is.
    """
    written = now.partition(HEADING)[0]
    entries = (
        f"\n### {name}\n\n```text\n{context.get_help()}\n```\n" for name, context in commands()
    )
    return written + HEADING + "".join(entries)


def commands() -> Iterator[tuple[str, typer.Context]]:
    """The commands, those of a group below it (`archive push`), each as it is called."""
    root = typer.Context(
        command(),
        info_name="prefactor-agent",
        terminal_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return _below(root, "")


def _below(group: typer.Context, before: str) -> Iterator[tuple[str, typer.Context]]:
    assert isinstance(group.command, TyperGroup)
    for name in group.command.list_commands(group):
        one = group.command.get_command(group, name)
        assert one is not None
        context = typer.Context(one, info_name=name, parent=group)
        if isinstance(one, TyperGroup):
            yield from _below(context, f"{before}{name} ")
        else:
            yield f"{before}{name}", context


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
