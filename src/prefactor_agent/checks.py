"""What values a setting may have, and how it is read from the environment.

A text in the place of a list, or a ``"false"`` that counts as true, would keep what must not be
kept: so each value is checked when it is chosen."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.text import why
from .core.values import number

if TYPE_CHECKING:
    from pydantic import SecretStr

Check = Callable[[str, Any], Any]
"""From the name and the value of a setting to the value as it is kept. Raises
:class:`ConfigurationError` where it cannot be used."""


class ConfigurationError(ValueError):
    """A setting that cannot be used. Its message is one line that says what to do."""


def _check(
    wanted: str, fits: Callable[[Any], bool], keep: Callable[[Any], Any] | None = None
) -> Check:
    def check(name: str, value: Any) -> Any:
        if not fits(value):
            raise ConfigurationError(f"{name} must be {wanted}, not {value!r}")
        return value if keep is None else keep(value)

    return check


def _texts(value: Any) -> bool:
    whole = isinstance(value, Collection) and not isinstance(value, str)
    return whole and all(isinstance(one, str) for one in value)


def _amount(value: Any) -> bool:
    return (found := number(value)) is not None and found >= 0


def list_of_texts(keep: Callable[[Any], Any]) -> Check:
    """Any collection of texts, kept as ``keep`` makes it."""
    return _check("a list of texts", _texts, keep)


def amount_of(unit: str) -> Check:
    """A number that is not negative."""
    return _check(f"0 or more {unit}", _amount)


def lower(keys: Collection[str]) -> frozenset[str]:
    """Keys, upper and lower case alike."""
    return frozenset(key.lower() for key in keys)


def patterns(given: Collection[str]) -> tuple[str, ...]:
    """Regular expressions.

    Raises:
        ConfigurationError: One of them is none.
    """
    for pattern in given:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(
                f"redact_patterns: {pattern!r} is no regular expression ({error})"
            ) from None
    return tuple(given)


SCHEMES = ("s3", "gs", "az")
"""Of the object storage that an archive can be in."""


def _is_address(text: str) -> bool:
    scheme, found, rest = text.partition("://")
    return not found or (scheme in SCHEMES and bool(rest.strip("/")) and "@" not in rest)


def address(text: str) -> str:
    """The address of an archive: as it is, or a folder from the root on."""
    return text.rstrip("/") if "://" in text else str(expanded(text))


def archive(variable: str) -> str | None:
    """The archive that a variable of the environment names; ``None``: it names none.

    Raises:
        ConfigurationError: It is no address of an archive.
    """
    text = os.environ.get(variable)
    return ARCHIVE(variable, text) if text else None


def _budgets(budgets: Mapping[Any, Any]) -> dict[str, float]:
    from .conversation import stages  # most programs set none

    for stage, seconds in budgets.items():
        whole = stage in (stages.PERCEIVED, stages.PICKUP)
        if not isinstance(stage, str) or not (whole or stages.is_stage(stage)):
            raise ConfigurationError(
                f"budgets: {stage!r} is no stage: perceived, pickup, or one of an answer's that "
                "docs/latency.md names"
            )
        if not _amount(seconds):
            raise ConfigurationError(f"budgets: {stage} must be 0 or more seconds, not {seconds!r}")
    return dict(budgets)


def _rates(given: Mapping[Any, Any]) -> dict[str, dict[str, float]]:
    from .pricing import UNITS  # most programs set none

    for model, rates in given.items():
        if not isinstance(model, str) or not isinstance(rates, Mapping) or not rates:
            raise ConfigurationError(f"rates: {model!r} must have a dict of US dollars by unit")
        for unit, dollars in rates.items():
            if unit not in UNITS:
                raise ConfigurationError(
                    f"rates: {model} has no unit {unit!r}: there are {', '.join(UNITS)}"
                )
            if not _amount(dollars):
                raise ConfigurationError(
                    f"rates: {unit} of {model} must be 0 or more US dollars, not {dollars!r}"
                )
    return {model: dict(rates) for model, rates in given.items()}


def _quality_schemas(given: Mapping[Any, Any]) -> dict[str, Mapping[str, Any]]:
    for name, entry in given.items():
        where = f"quality_schemas: {name}"
        if not isinstance(name, str) or not name.strip() or name.startswith("livekit:"):
            raise ConfigurationError(f"quality_schemas: {name!r} is no name for a schema of yours")
        if not isinstance(entry, Mapping) or not isinstance(entry.get("schema"), Mapping):
            raise ConfigurationError(f"{where} must be a dict with a JSON schema as its schema")
        for key in entry.keys() - {"schema", "title", "description", "template", "data_risk"}:
            raise ConfigurationError(f"{where}: a quality schema has no {key!r}")
    return dict(given)


def expanded(path: str | os.PathLike[str], start: Path = Path()) -> Path:
    """A path of the journal from the root on, with the home directory in the place of ``~``.

    Args:
        path: As the user wrote it.
        start: Where a relative one begins. Default: the working directory.

    Raises:
        ConfigurationError: There is no such home directory, or the working directory is gone.
    """
    try:
        return (start / Path(path).expanduser()).absolute()
    except RuntimeError:
        problem = f"no home directory is known for {os.fspath(path)}"
    except OSError as error:
        problem = f"{os.fspath(path)} is relative, and the working directory is gone ({why(error)})"
    raise ConfigurationError(f"{problem}: set PREFACTOR_JOURNAL to an absolute path")


def token(_name: str, value: Any) -> Any:
    """A token, as a text or as pydantic's secret. One that is neither is not shown."""
    if isinstance(value, str):
        return _hidden(value)
    if hasattr(value, "get_secret_value"):
        return value
    raise ConfigurationError("api_token must be a text")


def secret(variable: str) -> SecretStr | None:
    """The secret in a variable of the environment."""
    value = os.environ.get(variable)
    return _hidden(value) if value else None


def _hidden(value: str) -> SecretStr:
    # Here, because it takes longer to import than all that the command line needs besides it.
    from pydantic import SecretStr

    return SecretStr(value)


_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


def flag(variable: str) -> bool | None:
    """Whether a variable of the environment says yes; ``None``: it is not set.

    Raises:
        ConfigurationError: It says something else than yes or no.
    """
    value = os.environ.get(variable, "").strip().lower()
    if not value:
        return None
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise ConfigurationError(f"{variable} must be true or false, not {value!r}")


QUALITY_SCHEMAS = _check(
    "a dict of quality schemas by name",
    lambda value: isinstance(value, Mapping),
    _quality_schemas,
)
YES_OR_NO = _check("True or False", lambda value: isinstance(value, bool))
TEXT = _check("a text", lambda value: isinstance(value, str))
FUNCTION = _check("a function", callable)
PATH = _check("a path", lambda value: isinstance(value, str | os.PathLike), expanded)
ARCHIVE = _check(
    "s3://bucket/prefix, gs://…, az://… or a folder",
    lambda value: isinstance(value, str | os.PathLike) and _is_address(os.fspath(value)),
    lambda value: address(os.fspath(value)),
)
PURPOSE = _check("live, smoke_test or eval", lambda v: v in ("live", "smoke_test", "eval"))
RATES = _check("a dict of rates by model", lambda v: isinstance(v, Mapping), _rates)
BUDGETS = _check("a dict of seconds by stage", lambda v: isinstance(v, Mapping), _budgets)
