"""Values of livekit.rtc's objects as plain ones: texts that are there, and the words of its enums.

The console's room has stand-ins (mocks) in the places of texts and numbers, and a server can be
newer than the library that names its values: what is no value of its kind is ``None``."""

from __future__ import annotations

from typing import Any

from livekit import rtc


def text(value: Any) -> str | None:
    """A text that is there and not empty."""
    return value if isinstance(value, str) and value else None


def word(enum: Any, value: Any, prefix: str = "") -> str | None:
    """LiveKit's name for a value of one of its enums, in lower case.

    Args:
        enum: A protobuf enum: ``rtc.DisconnectReason``, ``rtc.TrackKind`` …
        value: The number.
        prefix: What all names of the enum begin with, which is left out.
    """
    if not isinstance(value, int):
        return None
    try:
        # In some versions an enum of livekit.rtc's is one of Python's.
        name: str = enum.Name(value) if hasattr(enum, "Name") else enum(value).name
    except ValueError:
        return None
    return name.removeprefix(prefix).lower()


def local_participant(room: Any) -> rtc.LocalParticipant | None:
    """The agent itself in a room; ``None``: it is not connected, or the room is a stand-in."""
    try:
        local = room.local_participant
    except Exception:  # livekit.rtc raises a bare Exception before the room is connected
        return None
    return local if isinstance(local, rtc.LocalParticipant) else None


def linked_participant(session: Any) -> rtc.RemoteParticipant | None:
    """Whom a session listens to in its room; ``None``: nobody yet, or it has no room of its own."""
    try:
        linked: rtc.RemoteParticipant | None = session.room_io.linked_participant
    except RuntimeError:
        return None
    return linked


def microphone_of(participant: Any) -> rtc.RemoteAudioTrack | rtc.LocalAudioTrack | None:
    """The track with the voice of a participant, or of the agent itself, if there is one."""
    if participant is None:
        return None
    for publication in list(participant.track_publications.values()):
        track = publication.track
        if isinstance(track, rtc.RemoteAudioTrack | rtc.LocalAudioTrack) and (
            publication.source == rtc.TrackSource.SOURCE_MICROPHONE
        ):
            return track
    return None
