"""Who ended a call, by what happened first."""

from __future__ import annotations

import pytest

from prefactor_agent.conversation import Departure, hung_up_by

CLOSED = 1_000


@pytest.mark.parametrize(
    ("reason", "who"),
    [
        ("client_initiated", "caller"),
        ("user_rejected", "caller"),
        ("user_unavailable", "caller"),
        ("sip_trunk_failure", "network"),
        ("connection_timeout", "network"),
        ("participant_removed", "server"),
        ("room_deleted", "server"),
        (None, None),
        ("a_reason_to_come", None),
    ],
)
def test_a_caller_who_leaves_first_says_why(reason: str | None, who: str | None) -> None:
    assert hung_up_by(Departure(999, reason), Departure(1_200, "client_initiated"), CLOSED) == who


def test_a_caller_who_is_left_alone_did_not_hang_up() -> None:
    assert hung_up_by(Departure(1_001, "client_initiated"), None, CLOSED) == "agent"
    assert hung_up_by(None, None, CLOSED) == "agent"


@pytest.mark.parametrize(
    ("reason", "who"),
    [("client_initiated", "agent"), ("room_deleted", "server"), ("signal_close", "network")],
)
def test_an_agent_that_is_out_of_the_room_before_the_session_is_closed(
    reason: str, who: str
) -> None:
    assert hung_up_by(None, Departure(900, reason), CLOSED) == who
    assert hung_up_by(Departure(901, "client_initiated"), Departure(900, reason), CLOSED) == who


def test_an_agent_that_leaves_after_the_session_was_closed() -> None:
    assert hung_up_by(None, Departure(1_100, "room_deleted"), CLOSED) == "agent"
