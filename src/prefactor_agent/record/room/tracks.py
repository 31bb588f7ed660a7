"""The tracks of a session's room: what the agent is subscribed to, and what it publishes itself.

A voice that is not heard is often a track that is missing, muted, or could not be subscribed to.
Background audio is one that the agent publishes (``background_audio``,
voice/background_audio.py); which of its sounds play LiveKit tells nobody."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from livekit import rtc

from ...core.clock import now_ns
from ...core.guard import guarded
from ...core.json import JSON, without_none
from ..livekit import private as livekit_private
from ..livekit.rtc_values import local_participant, text, word
from ..turns.state import Scope
from .room_events import Handlers

KEPT = 50
MUTES_KEPT = 50
"""Of each track."""


class Tracks:
    """Keeps the first tracks of one session's room. Moments are microseconds of the call."""

    def __init__(self, scope: Scope) -> None:
        self._spans, self._state = scope.spans, scope.state
        self._tracks: dict[str, JSON] = {}
        self._total = 0
        self._awaited: set[str] = set()

    def handlers(self) -> Handlers:
        """The room's events that it listens to, each with its handler."""
        return {
            "track_subscribed": self._on_subscribed,
            "track_unsubscribed": self._on_unsubscribed,
            "track_subscription_failed": self._on_failed,
            "track_muted": self._on_muted,
            "track_unmuted": self._on_unmuted,
            "local_track_published": self._on_published,
            "local_track_unpublished": self._on_unpublished,
            "local_track_republished": self._on_republished,
            "local_track_subscribed": self._on_heard,
        }

    @guarded("tracks.begin")
    def begin(self, room: rtc.Room) -> None:
        """Note what there is already. More than once does no harm."""
        for person in list(room.remote_participants.values()):
            for publication in list(person.track_publications.values()):
                if publication.track is not None:
                    self._begin(publication, person.identity)
        if (local := local_participant(room)) is not None:
            for own in list(local.track_publications.values()):
                self._begin(own, None)

    def result(self) -> JSON:
        """What the session's span says of them."""
        return {
            "tracks": [{**track} for track in self._tracks.values()] or None,
            "tracks_total": self._total if self._total > len(self._tracks) else None,
        }

    def _begin(self, publication: rtc.TrackPublication, who: str | None) -> None:
        """A track is there: ``who`` publishes it, or, if ``None``, the agent."""
        sid = text(publication.sid)
        if sid is None:
            return
        known = self._tracks.get(sid)
        if known is not None and "ended_us" not in known:
            return
        self._total += known is None
        if known is None and len(self._tracks) >= KEPT:
            return
        self._tracks[sid] = without_none(
            {
                "sid": sid,
                "direction": "sent" if who is None else "received",
                "kind": word(rtc.TrackKind, publication.kind, "KIND_"),
                "source": word(rtc.TrackSource, publication.source, "SOURCE_"),
                "name": text(publication.name) if who is None else None,
                "participant": who,
                "began_us": self._now_us(),
                "muted": publication.muted is True or None,
                "pre_connect": livekit_private.has_pre_connect_audio(publication) or None,
            }
        )

    def _note(self, sid: Any, **more: Any) -> JSON | None:
        if (track := self._tracks.get(sid)) is not None:
            track |= more
        return track

    @guarded("room.track_subscribed")
    def _on_subscribed(
        self, _track: Any, publication: rtc.RemoteTrackPublication, person: rtc.RemoteParticipant
    ) -> None:
        self._begin(publication, person.identity)
        if livekit_private.has_pre_connect_audio(publication):
            # LiveKit's own handler, which may come after this one, asks for the audio in a task.
            self._await_audio(publication.sid)
            asyncio.get_running_loop().call_soon(self._await_audio, publication.sid)

    @guarded("tracks.pre_connect")
    def _await_audio(self, sid: str) -> None:
        """Note how long the audio from before the connection is, once it is there."""
        audio = livekit_private.pre_connect_audio(self._state.session, sid)
        if audio is not None and sid in self._tracks and sid not in self._awaited:
            self._awaited.add(sid)
            audio.add_done_callback(functools.partial(self._on_audio, sid))

    @guarded("tracks.pre_connect")
    def _on_audio(self, sid: str, audio: asyncio.Future[Any]) -> None:
        if not audio.cancelled() and livekit_private.failure(audio) is None:
            seconds = sum(frame.duration for frame in audio.result().frames)
            self._note(sid, pre_connect_ms=round(seconds * 1000, 3))

    @guarded("room.track_unsubscribed")
    def _on_unsubscribed(
        self, _track: Any, publication: rtc.RemoteTrackPublication, _person: Any
    ) -> None:
        self._note(publication.sid, ended_us=self._now_us())

    @guarded("room.track_subscription_failed")
    def _on_failed(self, person: rtc.RemoteParticipant, sid: str, error: Any) -> None:
        self._total += sid not in self._tracks
        if sid in self._tracks or len(self._tracks) < KEPT:
            failed = {"sid": sid, "direction": "received", "participant": person.identity}
            track = self._tracks.setdefault(sid, failed)
            track |= {"failed_us": self._now_us(), "error": str(error)}

    @guarded("room.track_muted")
    def _on_muted(self, _person: Any, publication: rtc.TrackPublication) -> None:
        self._change(publication, muted=True)

    @guarded("room.track_unmuted")
    def _on_unmuted(self, _person: Any, publication: rtc.TrackPublication) -> None:
        self._change(publication, muted=False)

    def _change(self, publication: rtc.TrackPublication, *, muted: bool) -> None:
        if (track := self._tracks.get(publication.sid)) is not None:
            changes: list[JSON] = track.setdefault("changes", [])
            if len(changes) < MUTES_KEPT:
                changes.append({"at_us": self._now_us(), "muted": muted})

    @guarded("room.local_track_published")
    def _on_published(self, publication: rtc.LocalTrackPublication, _track: Any) -> None:
        self._begin(publication, None)

    @guarded("room.local_track_unpublished")
    def _on_unpublished(self, publication: rtc.LocalTrackPublication) -> None:
        self._note(publication.sid, ended_us=self._now_us())

    @guarded("room.local_track_republished")
    def _on_republished(self, publication: rtc.LocalTrackPublication, previous: str) -> None:
        self._note(previous, ended_us=self._now_us())
        self._begin(publication, None)

    @guarded("room.local_track_subscribed")
    def _on_heard(self, track: Any) -> None:
        known = self._tracks.get(getattr(track, "sid", None) or "")
        if known is not None:
            known.setdefault("subscribed_us", self._now_us())

    def _now_us(self) -> int:
        return self._spans.offset_us(now_ns())
