"""What a program declares of single tools on their decorators: by tool name, for this process.

It is kept apart from the calls. The program's author wrote it, so it goes to Prefactor with the
schemas of a call and is not redacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import config
from .config import ConfigurationError
from .core.json import JSON

MOST_TOOLS = 500
"""How many tools of a process are registered at Prefactor under their names; the calls of further
tools are sent as those of tools in general."""

_ACTIONS = frozenset(
    [
        "create_data",
        "read_data",
        "update_data",
        "destroy_data",
        "financial_transactions",
        "external_communication",
    ]
)
_CATEGORIES = frozenset(
    [
        "personal_identifiers",
        "contact_information",
        "financial_information",
        "health_and_medical",
        "criminal_justice",
        "authentication_and_secrets",
        "organisational_confidential",
        "minors_data",
        "location_and_tracking",
        "behavioural_and_inferred",
        "gdpr_racial_or_ethnic_origin",
        "gdpr_political_opinions",
        "gdpr_religious_or_philosophical_beliefs",
        "gdpr_trade_union_membership",
        "gdpr_genetic_data",
        "gdpr_biometric_for_identification",
        "gdpr_sex_life_or_sexual_orientation",
    ]
)
_ALLOWED = ("unknown", "allowed", "disallowed")
_INCLUDED = ("unknown", "included", "excluded")
_CLASSES = ("unknown", "public", "internal", "confidential", "restricted", "secret")
_DATA = {**dict.fromkeys(_CATEGORIES, _INCLUDED), "classification": _CLASSES}
DATA_RISK: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "action_profile": dict.fromkeys(_ACTIONS, _ALLOWED),
    "params_data_categories": _DATA,
    "result_data_categories": _DATA,
}
"""What each part of a data risk may say: ``prefactor_http.models.agent_instance.DataRisk``, which
is not imported where an agent runs. (A test holds the two against each other.)"""


class ToolOptions(NamedTuple):
    """What a program declares of one tool."""

    data_risk: JSON | None = None
    summary: str | None = None
    capture_content: bool = True
    arguments: tuple[tuple[str, ...], ...] = ()
    """Where its arguments are among its inputs, each a path of keys: for its summary."""


_known: dict[str, ToolOptions] = {}
_hidden: frozenset[str] = frozenset()
"""Names of tools. One that is hidden stays hidden: another tool of the same name may replace it.
The set is replaced as a whole, because the journal's thread reads it."""


def declare(name: str, options: ToolOptions) -> None:
    """Note a tool with its options. Two agents may have tools of one name: the last options hold,
    with the arguments of both, because one summary is used for the calls of both."""
    global _hidden
    if name in _known:
        both = dict.fromkeys((*options.arguments, *_known[name].arguments))
        options = options._replace(arguments=tuple(both))
    if not options.capture_content:
        _hidden |= {name}
    if name in _known or len(_known) < MOST_TOOLS:
        _known[name] = options


def also_named(name: str, other: str) -> None:
    """Note that the model knows a tool by another name, under which it is hidden, too."""
    options = _known.get(name, ToolOptions())
    if name in _hidden or name in config.settings().hide_tools:
        options = options._replace(capture_content=False)
    if other not in _known or not options.capture_content:
        declare(other, options)


def hidden_tools() -> frozenset[str]:
    """The tools whose arguments and results are not kept, as their decorators say."""
    return _hidden


def declared_tools() -> JSON:
    """By tool name, what Prefactor is told of each tool of this process: in the words of
    :class:`.schemas.entry.ToolSchema`."""
    return {
        name: {
            key: value
            for key, value in (
                ("data_risk", options.data_risk),
                ("template", options.summary),
                ("arguments", options.arguments if options.summary is None else None),
            )
            if value
        }
        for name, options in list(_known.items())
    }


def checked(data_risk: Any, summary: Any, capture_content: Any) -> ToolOptions:
    """The options, with what they leave out.

    Raises:
        ConfigurationError: One of them cannot be used.
    """
    if not isinstance(capture_content, bool):
        raise ConfigurationError(f"capture_content must be True or False, not {capture_content!r}")
    risk = None if data_risk is None else _risk(data_risk)
    return ToolOptions(risk, None if summary is None else _template(summary), capture_content)


def _risk(given: Any) -> JSON:
    parts = _members(given, "data_risk", DATA_RISK)
    return {
        part: {
            key: _one_of(value, f"data_risk: {part}: {key}", allowed[key])
            for key, value in _members(parts.get(part, {}), f"data_risk: {part}", allowed).items()
        }
        for part, allowed in DATA_RISK.items()
    }


def _members(given: Any, where: str, allowed: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {given!r}")
    for key in given:
        if key not in allowed:
            raise ConfigurationError(f"{where} has no {key!r}: one of {', '.join(sorted(allowed))}")
    return given


def _one_of(value: Any, where: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigurationError(f"{where} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def _template(summary: Any) -> str:
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise ConfigurationError(f"summary must be a Liquid template of one line, not {summary!r}")
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        if summary.count(opening) != summary.count(closing):
            raise ConfigurationError(
                f"summary has {opening} without {closing} or the other way round: {summary!r}"
            )
    return summary
