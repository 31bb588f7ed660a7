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

from .conversation.stages import PERCEIVED, is_stage

if TYPE_CHECKING:
    from pydantic import SecretStr

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}

Redact = Callable[[tuple[str, ...], Any], Any]
"""From the path and the value to what is kept."""
Purpose = Literal["live", "smoke_test", "eval"]
DEFAULT_API_URL = "https://app.prefactorai.com"

try:
    _STARTED_IN = Path.cwd()
except OSError:  # it was deleted
    _STARTED_IN = Path()
"""Where a relative path in the environment begins: the program may go elsewhere later."""


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

    Call it at module level of the agent's file, before the first session starts. An empty text
    counts as not given.

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
        name: _checked(name, value)
        for name, value in {
            "journal": journal,
            "disabled": disabled,
            "flush_timeout": flush_timeout,
            "api_url": api_url,
            "api_token": api_token,
            "agent_id": agent_id,
            "environment_id": environment_id,
            "agent_version": agent_version,
            "purpose": purpose,
            "allow_http": allow_http,
            "capture_content": capture_content,
            "redact_keys": redact_keys,
            "redact_patterns": redact_patterns,
            "redact": redact,
            "hide_tools": hide_tools,
            "states": states,
            "keep_days": keep_days,
            "keep_bytes": keep_bytes,
            "on_terminate": on_terminate,
            "budgets": budgets,
            "on_budget_exceeded": on_budget_exceeded,
        }.items()
        if value is not None and value != ""
    }
    _chosen.update(given)


def settings(journal: Path | None = None) -> Settings:
    """The settings in force now.

    Args:
        journal: In the place of the one that was chosen.

    Raises:
        ConfigurationError: A variable in the environment has a value that cannot be used, or there
            is no home directory for the default journal.
    """
    chosen = _chosen if journal is None else {**_chosen, "journal": journal}
    from_environment = Settings(
        # Only if it is needed: a container's user may have no home directory.
        journal=chosen.get("journal") or _journal(),
        disabled=_flag("PREFACTOR_DISABLED", default=False),
        api_url=os.environ.get("PREFACTOR_API_URL") or DEFAULT_API_URL,
        api_token=_secret("PREFACTOR_API_TOKEN"),
        agent_id=os.environ.get("PREFACTOR_AGENT_ID") or None,
        environment_id=os.environ.get("PREFACTOR_ENVIRONMENT_ID") or None,
        capture_content=_flag("PREFACTOR_CAPTURE_CONTENT", default=True),
    )
    return replace(from_environment, **chosen)


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


def expanded(path: str | os.PathLike[str], start: Path = Path()) -> Path:
    """A path of the journal from the root on, with the home directory in the place of ``~``.

    Args:
        path: As the user wrote it.
        start: Where a relative one begins. Default: the working directory.

    Raises:
        ConfigurationError: Nobody knows that home directory, or the working directory is gone.
    """
    try:
        return (start / Path(path).expanduser()).absolute()
    except RuntimeError:
        why = f"no home directory is known for {os.fspath(path)}"
    except OSError as error:
        why = f"nobody knows where {os.fspath(path)} begins ({error.strerror})"
    raise ConfigurationError(f"{why}: set PREFACTOR_JOURNAL to an absolute path")


def reset() -> None:
    """Forget what :func:`configure` chose. For tests."""
    _chosen.clear()


def _journal() -> Path:
    path = os.environ.get("PREFACTOR_JOURNAL")
    return expanded(path, _STARTED_IN) if path else default_journal()


def _checked(name: str, value: Any) -> Any:
    """A value as it is kept, once it is sure that it can be used: a text in the place of a list, or
    a ``"false"`` that counts as true, would keep what must not be kept."""

    def must(fit: bool, wanted: str) -> None:
        if not fit:
            raise ConfigurationError(f"{name} must be {wanted}, not {value!r}")

    match name:
        case "disabled" | "allow_http" | "capture_content" | "states":
            must(isinstance(value, bool), "True or False")
        case "flush_timeout":
            must(_amount(value), "0 or more seconds")
        case "keep_days":
            must(_amount(value), "0 or more days")
        case "keep_bytes":
            must(_amount(value), "0 or more bytes")
        case "redact_keys":
            must(_texts(value), "a list of texts")
            return frozenset(key.lower() for key in value)
        case "redact_patterns":
            must(_texts(value), "a list of texts")
            return tuple(map(_pattern, value))
        case "hide_tools":
            must(_texts(value), "a list of texts")
            return frozenset(value)
        case "redact" | "on_terminate" | "on_budget_exceeded":
            must(callable(value), "a function")
        case "budgets":
            must(isinstance(value, Mapping), "a dict of seconds by stage")
            return {stage: _budget(stage, seconds) for stage, seconds in value.items()}
        case "purpose":
            must(value in ("live", "smoke_test", "eval"), "live, smoke_test or eval")
        case "journal":
            must(isinstance(value, str | os.PathLike), "a path")
            return expanded(value)
        case "api_token":  # whatever it is, it is not shown
            if not isinstance(value, str) and not hasattr(value, "get_secret_value"):
                raise ConfigurationError("api_token must be a text")
            return _hidden(value) if isinstance(value, str) else value
        case _:
            must(isinstance(value, str), "a text")
    return value


def _texts(value: Any) -> bool:
    whole = isinstance(value, Collection) and not isinstance(value, str)
    return whole and all(isinstance(one, str) for one in value)


def _amount(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"redact_patterns: {pattern!r} is no regular expression ({error})"
        ) from None
    return pattern


def _budget(stage: Any, seconds: Any) -> float:
    if not isinstance(stage, str) or not (stage == PERCEIVED or is_stage(stage)):
        raise ConfigurationError(
            f"budgets: {stage!r} is no stage: perceived, or one that docs/latency.md names"
        )
    if not _amount(seconds):
        raise ConfigurationError(f"budgets: {stage} must be 0 or more seconds, not {seconds!r}")
    amount: float = seconds
    return amount


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
