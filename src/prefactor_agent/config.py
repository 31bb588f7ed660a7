"""Settings: from :func:`configure`, else from the environment, else the default.

The table of them is :mod:`.settings_table`. LiveKit runs each call in a process that imports the
agent's file again, so a ``configure`` call at module level reaches every call.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checks import ConfigurationError as ConfigurationError
from .checks import expanded as expanded
from .settings_table import TABLE as TABLE
from .settings_table import Purpose as Purpose
from .settings_table import Redact as Redact
from .settings_table import Setting
from .settings_table import Settings as Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

try:
    _STARTED_IN = Path.cwd()
except OSError:  # it was deleted
    _STARTED_IN = Path()
"""Where a relative path in the environment begins: the program may change its directory later."""

_chosen: dict[str, Any] = {}
"""What :func:`configure` was called with, by the names of :class:`Settings`."""


def configure(
    *,
    journal: str | os.PathLike[str] | None = None,
    disabled: bool | None = None,
    flush_timeout: float | None = None,
    api_url: str | None = None,
    api_token: str | SecretStr | None = None,
    agent_id: str | None = None,
    environment_id: str | None = None,
    agent_version: str | None = None,
    purpose: Purpose | None = None,
    allow_http: bool | None = None,
    quality_schemas: Mapping[str, Mapping[str, Any]] | None = None,
    mark_sensitive: bool | None = None,
    otlp: bool | None = None,
    otlp_content: bool | None = None,
    otlp_usage: bool | None = None,
    capture_content: bool | None = None,
    redact_keys: Collection[str] | None = None,
    redact_patterns: Collection[str] | None = None,
    redact: Redact | None = None,
    hide_tools: Collection[str] | None = None,
    keep_audio: bool | None = None,
    states: bool | None = None,
    metrics: bool | None = None,
    keep_days: float | None = None,
    keep_bytes: int | None = None,
    rates: Mapping[str, Mapping[str, float]] | None = None,
    archive: str | os.PathLike[str] | None = None,
    archive_audio: bool | None = None,
    on_terminate: Callable[[Any, str | None], Any] | None = None,
    budgets: Mapping[str, float] | None = None,
    on_budget_exceeded: Callable[[Any], Any] | None = None,
) -> None:
    """Choose settings in code; what is given here wins over the environment.

    Call it at module level of the agent's file, before the first session starts. What is left out,
    ``None`` or an empty text stays as it was. It may be called more than once. The commands
    (``prefactor-agent …``) do not import that file: they read the environment alone.

    Args:
        {args}

    Raises:
        ConfigurationError: A value cannot be used; nothing was chosen then.
    """
    given = {name: value for name, value in locals().items() if value is not None and value != ""}
    _chosen.update({name: TABLE[name].check(name, value) for name, value in given.items()})


def _described(name: str, setting: Setting) -> str:
    """A setting in the documentation of ``configure``, with its default and its variable."""
    default = Settings.__dataclass_fields__[name].default
    words = [f"{name}: {setting.about}"]
    if isinstance(default, bool | int | float | str):
        words.append(f"Default: ``{default!r}``.")
    if setting.variable is not None:
        words.append(f"In the environment: ``{setting.variable}``.")
    return textwrap.fill(" ".join(words), 100, initial_indent=" " * 8, subsequent_indent=" " * 12)


if configure.__doc__:  # with -OO there is none
    configure.__doc__ = configure.__doc__.replace(
        "{args}", "\n".join(_described(*one) for one in TABLE.items()).lstrip()
    )


def settings(journal: Path | None = None) -> Settings:
    """The settings in force now.

    Args:
        journal: In the place of the one that was chosen.

    Raises:
        ConfigurationError: A variable in the environment has a value that cannot be used, or there
            is no home directory for the default journal.
    """
    chosen = _chosen if journal is None else {**_chosen, "journal": journal}
    found = {
        name: value
        for name, setting in TABLE.items()
        if setting.variable and (value := setting.read(setting.variable)) is not None
    }
    # Only if it is needed: a container's user may have no home directory.
    return Settings(**{"journal": chosen.get("journal") or _journal(), **found, **chosen})


def default_journal() -> Path:
    """``journal.db`` in the user's state directory."""
    if sys.platform == "darwin":
        base = "~/Library/Application Support"
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        base = os.environ.get("XDG_STATE_HOME", "")
        if not base.startswith(("/", "~")):  # a relative one counts as none, it is specified
            base = "~/.local/state"
    return expanded(base) / "prefactor-agent" / "journal.db"


def reset() -> None:
    """Forget what :func:`configure` chose. For tests."""
    _chosen.clear()


def _journal() -> Path:
    path = os.environ.get("PREFACTOR_JOURNAL")
    return expanded(path, _STARTED_IN) if path else default_journal()
