"""Settings: from :func:`configure`, else from the environment, else the default.

LiveKit runs each call in a process that imports the agent's file again, so a ``configure`` call at
module level reaches every call.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


class ConfigurationError(ValueError):
    """A setting that cannot be used. Its message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Times are in seconds."""

    journal: Path
    """The journal's file. Environment: ``PREFACTOR_JOURNAL``."""
    disabled: bool = False
    """Trace nothing. Environment: ``PREFACTOR_DISABLED``."""
    flush_interval: float = 0.1
    """How often the journal is written at most: what a killed process can lose."""
    flush_timeout: float = 5.0
    """How long the end of a job may wait for the journal."""
    budgets: Mapping[str, float] = field(default_factory=dict)
    """How long a turn, or a stage of it, may take: by name (``perceived``, ``llm_ttft`` …)."""
    on_budget_exceeded: Callable[[Any], Any] | None = None
    """Called in the agent's process when a turn takes longer."""


_chosen: dict[str, Any] = {}


def configure(
    *,
    journal: str | os.PathLike[str] | None = None,
    disabled: bool | None = None,
    flush_timeout: float | None = None,
    budgets: Mapping[str, float] | None = None,
    on_budget_exceeded: Callable[[Any], Any] | None = None,
) -> None:
    """Choose settings in code; what is given here wins over the environment.

    Call it at module level of the agent's file, before the first session starts.

    Args:
        journal: Path of the journal file.
        disabled: Turn tracing off altogether.
        flush_timeout: Seconds that the end of a job may wait for the journal to be written.
        budgets: Seconds that a turn (``perceived``) or a stage of it may take, by name; the names
            are in ``docs/latency.md``. A turn that is over one is marked in the trace.
        on_budget_exceeded: Called with a ``BudgetExceeded`` on the agent's event loop, once for
            each budget and turn, while there is still time to react: when the caller has waited for
            longer than ``perceived``, answer or not, and when the answer starts to play. It may be
            a coroutine function; what it raises is logged and goes no further.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    given = {
        "journal": Path(journal).expanduser() if journal is not None else None,
        "disabled": disabled,
        "flush_timeout": flush_timeout,
        "budgets": dict(budgets) if budgets is not None else None,
        "on_budget_exceeded": on_budget_exceeded,
    }
    for name, seconds in (budgets or {}).items():
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
            raise ConfigurationError(f"budgets: {name} must be 0 or more seconds, not {seconds!r}")
    if flush_timeout is not None and flush_timeout < 0:
        raise ConfigurationError("flush_timeout must be 0 or more seconds")
    _chosen.update({key: value for key, value in given.items() if value is not None})


def settings() -> Settings:
    """The settings in force now.

    Raises:
        ConfigurationError: A variable in the environment has a value that cannot be used.
    """
    path = os.environ.get("PREFACTOR_JOURNAL")
    from_environment = Settings(
        journal=Path(path).expanduser() if path else default_journal(),
        disabled=_flag("PREFACTOR_DISABLED", default=False),
    )
    return replace(from_environment, **_chosen)


def default_journal() -> Path:
    """``journal.db`` in the user's state directory."""
    if sys.platform == "darwin":
        base = Path("~/Library/Application Support").expanduser()
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local").expanduser()
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return base / "prefactor-agent" / "journal.db"


def reset() -> None:
    """Forget what :func:`configure` chose. For tests."""
    _chosen.clear()


def _flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise ConfigurationError(f"{name} must be true or false, not {value!r}")
