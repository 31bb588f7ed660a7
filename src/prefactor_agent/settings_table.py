"""The table of all settings: the name, the default, which values are taken, what it means, and the
variable in the environment, as the fields of :class:`Settings`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import checks

if TYPE_CHECKING:
    from pydantic import SecretStr

Redact = Callable[[tuple[str, ...], Any], Any]
"""From the keys above a value, and the value (a text, or a number that is content), to what is kept
in its place."""
Purpose = Literal["live", "smoke_test", "eval"]
DEFAULT_API_URL = "https://app.prefactorai.com"


class Setting(NamedTuple):
    """What is said of a setting that a user may choose."""

    check: checks.Check
    about: str
    """What it means, for :func:`configure`."""
    variable: str | None = None
    """Its name in the environment."""
    read: Callable[[str], Any] = lambda variable: os.environ.get(variable) or None
    """From the variable to the value; ``None``: it is not set."""


def _setting(*about: Any, **more: Any) -> Mapping[str, Setting]:
    return {"setting": Setting(*about, **more)}


def _flag(default: bool, about: str, variable: str | None = None) -> Any:
    """A field that is true or false."""
    return field(default=default, metadata=_setting(checks.YES_OR_NO, about, variable, checks.flag))


def _text(about: str, variable: str | None = None) -> Any:
    """A field that is a text, or ``None``."""
    return field(default=None, metadata=_setting(checks.TEXT, about, variable))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, as they are in force. Times are in seconds."""

    journal: Path = field(
        metadata=_setting(
            checks.PATH,
            "Path of the journal file. Default: in the user's state directory.",
            "PREFACTOR_JOURNAL",
            lambda _: None,
        )
    )
    disabled: bool = _flag(False, "``True`` turns tracing off.", "PREFACTOR_DISABLED")
    flush_interval: float = 0.1
    """How soon what begins or ends is in the journal; words and loudness a little later: see
    ``journal/schedule.py``. What a killed process can lose. Not chosen."""
    flush_timeout: float = field(
        default=5.0,
        metadata=_setting(
            checks.amount_of("seconds"),
            "Seconds that the end of a job may wait for the trace to be written and delivered.",
        ),
    )

    api_url: str = field(
        default=DEFAULT_API_URL,
        metadata=_setting(checks.TEXT, "The address of Prefactor.", "PREFACTOR_API_URL"),
    )
    api_token: SecretStr | None = field(
        default=None,
        metadata=_setting(
            checks.token,
            "A token for Prefactor; without one nothing is delivered to it.",
            "PREFACTOR_API_TOKEN",
            checks.secret,
        ),
    )
    agent_id: str | None = _text(
        "The agent's id at Prefactor, for an account-scoped token.",
        "PREFACTOR_AGENT_ID",
    )
    environment_id: str | None = _text(
        "The environment's id at Prefactor, for an account-scoped token.",
        "PREFACTOR_ENVIRONMENT_ID",
    )
    agent_version: str | None = _text(
        "Your name for this version of the agent; without one its class, tools and instructions"
        " make one.",
    )
    agent_name: str | None = None
    """What the agent is registered as; its class otherwise. Set by ``PrefactorLiveKitSession``."""
    schemas: Mapping[str, Any] | None = None
    """What the program's own schema registry holds, as it is registered. Set as ``agent_name``."""
    purpose: Purpose | None = field(
        default=None,
        metadata=_setting(
            checks.PURPOSE,
            "Why the calls are made: ``live`` (what Prefactor takes them for without it),"
            " ``smoke_test`` or ``eval``.",
        ),
    )
    allow_http: bool = _flag(
        False,
        "``True`` sends the token over plain http to other machines, too.",
    )

    quality_schemas: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata=_setting(
            checks.QUALITY_SCHEMAS,
            "Quality schemas of your own, by name: each a dict with ``schema`` (a JSON schema) and,"
            " if you like, ``title``, ``description``, ``template`` (Liquid, one line) and"
            " ``data_risk``. ``record_quality`` records a payload of one.",
        ),
    )
    mark_sensitive: bool = _flag(
        False,
        "``True`` marks what was said, given and returned as sensitive where it is sent to"
        " Prefactor.",
        "PREFACTOR_MARK_SENSITIVE",
    )
    otlp: bool = _flag(
        False,
        "``True`` sends each span that has ended to an OpenTelemetry backend, too. Its address"
        " and headers come from OpenTelemetry's own variables: see ``docs/otlp.md``.",
        "PREFACTOR_OTLP",
    )
    otlp_content: bool = _flag(
        True,
        "``False`` sends no words, inputs and outputs to OpenTelemetry, only names, times and"
        " sizes.",
        "PREFACTOR_OTLP_CONTENT",
    )
    otlp_usage: bool = _flag(
        True,
        "``False`` sends no token counts to OpenTelemetry: a project that gets LiveKit's own"
        " spans, too, would count them twice.",
        "PREFACTOR_OTLP_USAGE",
    )

    capture_content: bool = _flag(
        True,
        "``False`` keeps no words, inputs and outputs, only names, times and sizes.",
        "PREFACTOR_CAPTURE_CONTENT",
    )
    redact_keys: frozenset[str] = field(
        default=frozenset(),
        metadata=_setting(
            checks.list_of_texts(checks.lower),
            "Keys whose values are never kept, upper and lower case alike.",
        ),
    )
    redact_patterns: tuple[str, ...] = field(
        default=(),
        metadata=_setting(
            checks.list_of_texts(checks.patterns),
            "Regular expressions; what matches is never kept.",
        ),
    )
    redact: Redact | None = field(
        default=None,
        metadata=_setting(
            checks.FUNCTION,
            "A function that is called with each text, and each number that is not the tracer's own"
            " measurement: with the keys above it (a tuple of texts) and the value. What it returns"
            " is kept instead. If it raises, the value is hidden.",
        ),
    )
    hide_tools: frozenset[str] = field(
        default=frozenset(),
        metadata=_setting(
            checks.list_of_texts(frozenset),
            "Names of tools whose arguments and results are not kept.",
        ),
    )

    keep_audio: bool = _flag(
        False,
        "``True`` records the sound of each call beside the journal: see ``docs/recording.md``.",
        "PREFACTOR_KEEP_AUDIO",
    )
    states: bool = _flag(
        False,
        "``True`` also records each change of the user's and the agent's state (listening,"
        " speaking, thinking, away …), as spans of their own.",
    )

    metrics: bool = _flag(
        True,
        "``False`` counts nothing: no series on the worker's ``/metrics``, and no totals in the"
        " journal.",
        "PREFACTOR_METRICS",
    )

    keep_days: float = field(
        default=30.0,
        metadata=_setting(
            checks.amount_of("days"),
            "Days that a call stays in the journal; then it is removed, unless it waits for"
            " delivery.",
        ),
    )
    keep_bytes: int = field(
        default=1 << 30,
        metadata=_setting(
            checks.amount_of("bytes"),
            "Bytes that the journal, with the recordings beside it, may grow to; above that, the"
            " oldest calls are removed.",
        ),
    )

    rates: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict,
        metadata=_setting(
            checks.RATES,
            "What models cost you, by model or ``provider/model``: each a dict of US dollars by"
            " unit, a million of ``input``, ``output``, ``cached_input`` … tokens or"
            " ``characters``, or a ``minute`` of audio; see ``docs/costs.md``.",
        ),
    )
    archive: str | None = field(
        default=None,
        metadata=_setting(
            checks.ARCHIVE,
            "Where calls are written to when they have ended: ``s3://bucket/prefix``, ``gs://…``,"
            " ``az://…`` or a folder; needs the extra ``fleet``. See ``docs/fleet.md``.",
            "PREFACTOR_ARCHIVE",
            checks.archive,
        ),
    )
    archive_audio: bool = _flag(
        False,
        "``True`` writes the recordings of calls to the archive, too.",
        "PREFACTOR_ARCHIVE_AUDIO",
    )

    on_terminate: Callable[[Any, str | None], Any] | None = field(
        default=None,
        metadata=_setting(
            checks.FUNCTION,
            "Called with the ``AgentSession`` and the reason on the agent's event loop when"
            " Prefactor terminates a call; without one the session is closed. It may be a"
            " coroutine function.",
        ),
    )
    budgets: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_setting(
            checks.BUDGETS,
            "Seconds that a turn (``perceived``) or a stage of it may take, by name; the names are"
            " in ``docs/latency.md``. A turn that is over one is marked in the trace.",
        ),
    )
    on_budget_exceeded: Callable[[Any], Any] | None = field(
        default=None,
        metadata=_setting(
            checks.FUNCTION,
            "Called with a ``BudgetExceeded`` on the agent's event loop, once for each budget and"
            " turn, while there is still time to react: when the caller has waited for longer than"
            " ``perceived``, answer or not, and when the answer starts to play. It may be a"
            " coroutine function; what it raises is logged and goes no further.",
        ),
    )

    @property
    def delivers(self) -> bool:
        """Whether calls are delivered to Prefactor."""
        return self.api_token is not None and not self.disabled

    @property
    def exports(self) -> bool:
        """Whether calls are sent to OpenTelemetry."""
        return self.otlp and not self.disabled


TABLE: Mapping[str, Setting] = {
    one.name: one.metadata["setting"] for one in fields(Settings) if one.metadata
}
"""By name, all that a user may choose."""
