"""Settings: from :func:`configure`, else from the environment, else the default.

LiveKit runs each call in a process that imports the agent's file again, so a ``configure`` call at
module level reaches every call.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import SecretStr

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


Redact = Callable[[tuple[str, ...], Any], Any]
Purpose = Literal["live", "smoke_test", "eval"]
DEFAULT_API_URL = "https://app.prefactorai.com"


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
    """How long the end of a job may wait for the journal and for delivery."""

    api_url: str = DEFAULT_API_URL
    """Where Prefactor is. Environment: ``PREFACTOR_API_URL``."""
    api_token: SecretStr | None = None
    """Without one nothing is delivered. Environment: ``PREFACTOR_API_TOKEN``."""
    agent_id: str | None = None
    """Needed by an account-scoped token. Environment: ``PREFACTOR_AGENT_ID``."""
    environment_id: str | None = None
    """Of an account-scoped token. Environment: ``PREFACTOR_ENVIRONMENT_ID``."""
    agent_version: str | None = None
    """The user's name for this version of the agent; otherwise its tools and instructions make
    one."""
    agent_name: str | None = None
    """What the agent is registered as; its class otherwise. Set by ``PrefactorLiveKitSession``."""
    schemas: Mapping[str, Any] | None = None
    """What the program's own schema registry holds, as it is registered. Set as ``agent_name``."""
    purpose: Purpose | None = None
    """Why the calls are made; Prefactor takes them as live otherwise."""
    allow_http: bool = False
    """Send the token over plain http also to another machine."""

    capture_content: bool = True
    """Keep what was said, called and returned. Without it names, times and sizes stay.
    Environment: ``PREFACTOR_CAPTURE_CONTENT``."""
    redact_keys: frozenset[str] = frozenset()
    """Keys whose values are never kept, upper and lower case alike."""
    redact_patterns: tuple[str, ...] = ()
    """Regular expressions; what matches is never kept."""
    redact: Redact | None = None
    """Called with the path and the value of every text; what it returns is kept instead."""
    hide_tools: frozenset[str] = frozenset()
    """Tools whose arguments and results are not kept."""

    states: bool = False
    """Also record each change of the user's and the agent's state, as a span."""

    keep_days: float = 30.0
    """Calls older than this leave the journal when it is pruned."""
    keep_bytes: int = 1 << 30
    """The journal's size, above which the oldest calls leave it when it is pruned."""

    on_terminate: Callable[[Any, str | None], Any] | None = None
    """Called in the agent's process when Prefactor ends a call, instead of closing the session."""
    budgets: Mapping[str, float] = field(default_factory=dict)
    """How long a turn, or a stage of it, may take: by name (``perceived``, ``llm_ttft`` …)."""
    on_budget_exceeded: Callable[[Any], Any] | None = None
    """Called in the agent's process when a turn takes longer."""

    @property
    def delivers(self) -> bool:
        return self.api_token is not None and not self.disabled


_chosen: dict[str, Any] = {}


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
    capture_content: bool | None = None,
    redact_keys: Collection[str] | None = None,
    redact_patterns: Collection[str] | None = None,
    redact: Redact | None = None,
    hide_tools: Collection[str] | None = None,
    states: bool | None = None,
    keep_days: float | None = None,
    keep_bytes: int | None = None,
    on_terminate: Callable[[Any, str | None], Any] | None = None,
    budgets: Mapping[str, float] | None = None,
    on_budget_exceeded: Callable[[Any], Any] | None = None,
) -> None:
    """Choose settings in code; what is given here wins over the environment.

    Call it at module level of the agent's file, before the first session starts.

    Args:
        journal: Path of the journal file.
        disabled: Turn tracing off altogether.
        flush_timeout: Seconds that the end of a job may wait for the trace to be written and
            delivered.
        api_url: Where Prefactor is.
        api_token: A token of Prefactor's; without one everything stays in the journal.
        agent_id: The agent's id at Prefactor, for an account-scoped token.
        environment_id: The environment's id at Prefactor, for an account-scoped token.
        agent_version: Your name for this version of the agent.
        purpose: ``live``, ``smoke_test`` or ``eval``.
        allow_http: Allow plain http to another machine.
        capture_content: ``False`` keeps no words, inputs and outputs, only names, times and sizes.
        redact_keys: Keys whose values are never kept.
        redact_patterns: Regular expressions; what matches is never kept.
        redact: Called with the path and the value of each text; its answer is kept instead.
            A failing one hides the value.
        hide_tools: Names of tools whose arguments and results are not kept.
        states: ``True`` also records each change of the user's and the agent's state (listening,
            speaking, thinking, away …), as spans of their own.
        keep_days: Days that a call stays in the journal.
        keep_bytes: Size that the journal may grow to.
        on_terminate: Called with the ``AgentSession`` and the reason on the agent's event loop when
            Prefactor terminates a call; without one the session is closed. It may be a coroutine
            function.
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
        "api_url": api_url,
        "api_token": _hidden(api_token) if isinstance(api_token, str) else api_token,
        "agent_id": agent_id,
        "environment_id": environment_id,
        "agent_version": agent_version,
        "purpose": purpose,
        "allow_http": allow_http,
        "capture_content": capture_content,
        "redact_keys": None if redact_keys is None else frozenset(k.lower() for k in redact_keys),
        "redact_patterns": None if redact_patterns is None else tuple(redact_patterns),
        "redact": redact,
        "hide_tools": None if hide_tools is None else frozenset(hide_tools),
        "states": states,
        "keep_days": keep_days,
        "keep_bytes": keep_bytes,
        "on_terminate": on_terminate,
        "budgets": dict(budgets) if budgets is not None else None,
        "on_budget_exceeded": on_budget_exceeded,
    }
    for name, seconds in (budgets or {}).items():
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
            raise ConfigurationError(f"budgets: {name} must be 0 or more seconds, not {seconds!r}")
    if flush_timeout is not None and flush_timeout < 0:
        raise ConfigurationError("flush_timeout must be 0 or more seconds")
    if purpose is not None and purpose not in ("live", "smoke_test", "eval"):
        raise ConfigurationError(f"purpose must be live, smoke_test or eval, not {purpose!r}")
    for pattern in redact_patterns or ():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(
                f"redact_patterns: {pattern!r} is no regular expression ({error})"
            ) from None
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
        api_url=os.environ.get("PREFACTOR_API_URL") or DEFAULT_API_URL,
        api_token=_secret("PREFACTOR_API_TOKEN"),
        agent_id=os.environ.get("PREFACTOR_AGENT_ID") or None,
        environment_id=os.environ.get("PREFACTOR_ENVIRONMENT_ID") or None,
        capture_content=_flag("PREFACTOR_CAPTURE_CONTENT", default=True),
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


def _secret(name: str) -> SecretStr | None:
    value = os.environ.get(name)
    return _hidden(value) if value else None


def _hidden(value: str) -> SecretStr:
    # Here, because it takes longer to import than all that the command line needs besides it.
    from pydantic import SecretStr

    return SecretStr(value)
