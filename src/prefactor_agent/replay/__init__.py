"""A recorded call as a file that a test can play again: what the user said and when, what each
model answered and with what timing. ``prefactor_agent.testing.replay`` plays it.

Pure: takes what :meth:`prefactor_agent.journal.reader.Journal.call` returns. Only what was recorded
is in it; where words that a replay needs are not in the trace, it refuses."""

from .asked import asked_in
from .format import Asked, Failure, Recording, Request, Speech, UserTurn
from .read import NotReplayableError, recording

__all__ = [
    "Asked",
    "Failure",
    "NotReplayableError",
    "Recording",
    "Request",
    "Speech",
    "UserTurn",
    "asked_in",
    "recording",
]
