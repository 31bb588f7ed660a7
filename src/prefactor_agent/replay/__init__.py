"""Writes a recorded call as a file that a test can play again: what the user said and when, what
each model answered and with what timing. ``prefactor_agent.testing.replay`` plays it.

Pure functions over what :meth:`prefactor_agent.stored.source.Source.call` returns. The file has
only what was recorded; a call whose trace lacks words that a replay needs is refused."""

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
