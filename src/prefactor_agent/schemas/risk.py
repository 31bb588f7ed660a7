"""The data risk of the span types, as Prefactor's SDK advises (``skills/report-agent-risk-data`` of
its TypeScript SDK): what is not known of every agent is left out, which means unknown.

Speech is confidential. No span moves money, unless a tool says that it does. Audio is never kept,
so nothing of a trace identifies a voice."""

from __future__ import annotations

from ..core.json import JSON

_NO_MONEY: JSON = {"financial_transactions": "disallowed"}
_NOTHING: JSON = {
    "create_data": "disallowed",
    "read_data": "disallowed",
    "update_data": "disallowed",
    "destroy_data": "disallowed",
    **_NO_MONEY,
    "external_communication": "disallowed",
}
_SPEECH: JSON = {
    "classification": "confidential",
    "personal_identifiers": "included",
    "gdpr_biometric_for_identification": "excluded",
}
_NUMBERS: JSON = {
    "classification": "internal",
    "personal_identifiers": "excluded",
    "contact_information": "excluded",
    "authentication_and_secrets": "excluded",
}


def _risk(actions: JSON, params: JSON, result: JSON | None = None) -> JSON:
    return {
        "action_profile": actions,
        "params_data_categories": params,
        "result_data_categories": params if result is None else result,
    }


CALL = _risk(
    {**_NO_MONEY, "external_communication": "allowed"},
    {**_SPEECH, "contact_information": "included"},  # a phone call has its number
)
TURN = _risk(_NO_MONEY, _NUMBERS, _SPEECH)
MODEL = _risk({**_NO_MONEY, "external_communication": "allowed"}, _SPEECH)
"""A request to a model, which is somewhere else as a rule."""
RECOGNITION = _risk({**_NO_MONEY, "external_communication": "allowed"}, _NUMBERS, _SPEECH)
TEXT = _risk(_NO_MONEY, _NUMBERS, _SPEECH)
TOOL = _risk(_NO_MONEY, {"classification": "confidential"})
"""Of a tool nothing is known but that it is called with what was said."""
ERROR = _risk(_NOTHING, {"classification": "internal"})
MEASURES = _risk(_NOTHING, _NUMBERS)
"""Names, times and numbers."""
