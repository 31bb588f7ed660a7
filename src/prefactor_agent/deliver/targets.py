"""All targets that calls can be delivered to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import ConfigurationError, Settings
from .common.target import Target

if TYPE_CHECKING:
    from .prefactor.call_delivery import OnTerminate

_MISSING = {
    "prefactor": "there is no token: set PREFACTOR_API_TOKEN",
    "otlp": "otlp is not turned on: set PREFACTOR_OTLP=1",
}


def targets(settings: Settings, on_terminate: OnTerminate | None = None) -> list[Target]:
    """The targets that the settings name. Imports no more than these take.

    Args:
        on_terminate: See :class:`.prefactor.target.Prefactor`.
    """
    chosen = {"prefactor": settings.api_token is not None, "otlp": settings.otlp}
    return [_make(key, settings, on_terminate) for key, named in chosen.items() if named]


def find(settings: Settings, key: str | None, *, anyway: bool = False) -> list[Target]:
    """One target by its key, or all that the settings name.

    Args:
        anyway: Also one that the settings do not name; without a key that is Prefactor.

    Raises:
        ConfigurationError: There is none such.
    """
    if key is not None and key not in _MISSING:
        raise ConfigurationError(f"there is no target {key!r}: prefactor or otlp")
    found = [target for target in targets(settings) if key in (None, target.key)]
    if not found and not anyway:
        raise ConfigurationError(_MISSING[key or "prefactor"])
    return found or [_make(key or "prefactor", settings)]


def _make(key: str, settings: Settings, on_terminate: OnTerminate | None = None) -> Target:
    if key == "otlp":
        from .otlp.target import Otlp

        return Otlp(settings)
    from .prefactor.target import Prefactor

    return Prefactor(settings, on_terminate)
