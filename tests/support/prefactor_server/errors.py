"""How a call is refused: the answer the client sees, and the rule it broke."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class RefusedError(Exception):
    """One call, or one item of a bulk call, is not accepted."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        rule: str | None,
        errors: dict[str, list[str]] | None = None,
    ) -> None:
        """`rule` names the broken rule; None when the refusal is not the caller's fault."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.rule = rule
        self.errors = errors

    def body(self) -> Json:
        answer: Json = {"status": "error", "code": self.code, "message": self.message}
        if self.errors is not None:
            answer["errors"] = self.errors
        return answer


def invalid(field: str, message: str, *, rule: str | None) -> RefusedError:
    """A 422 on one field."""
    return RefusedError(
        422,
        "validation_errors",
        f"{field}: {message}",
        rule=rule,
        errors={field: [message]},
    )


def conflict(message: str, *, rule: str | None = "state") -> RefusedError:
    """A transition that the state machine does not have."""
    return RefusedError(409, "invalid_action", message, rule=rule)


def not_found(what: str, *, rule: str | None = "unknown_id") -> RefusedError:
    return RefusedError(404, "not_found", f"{what} not found", rule=rule)
