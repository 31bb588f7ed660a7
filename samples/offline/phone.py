"""A caller in a real room: a voice, an ear, and the text streams of the room."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from livekit import api, rtc

from prefactor_agent.demo.caller import EAR_RATE, MICROPHONE_RATE, CallerMicrophone
from prefactor_agent.demo.recording import Track

TRANSCRIPTION = "lk.transcription"
CHAT = "lk.chat"
AGENT_STATE = "lk.agent.state"
FINAL = "lk.transcription_final"
SEGMENT = "lk.segment_id"
"""Topics and attributes of LiveKit Agents (livekit/agents/types.py)."""

PATIENCE = 60.0
"""Seconds that the caller waits for any one thing before the call counts as failed."""
GREETING_WITHIN = 5.0
"""Seconds after which an agent that is there and has said nothing waits for the caller."""
WORDS_WITHIN = 5.0
"""Seconds that the words of an answer may come after its sound."""
STATE_WITHIN = 15.0
"""Seconds that the agent's state may come after the last word of an answer, if it comes at all."""
_JUMP = 0.2
"""Seconds by which the agent's sound has to be late to count as a gap, not as a late loop."""


@dataclass
class Heard:
    """One text stream of the room: words of the caller, as heard by the agent, or of the agent."""

    speaker: str
    """Identity of the participant whose words these are."""
    chunks: list[str] = field(default_factory=list)
    """As they came."""
    attributes: dict[str, str] = field(default_factory=dict)
    begun_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.ended_at is not None

    @property
    def text(self) -> str:
        return "".join(self.chunks)

    @property
    def final(self) -> bool:
        return self.attributes.get(FINAL) == "true"


class CallFailedError(Exception):
    """Something did not happen in time, or the room was lost. The message says what was awaited."""


def token(
    key: str,
    secret: str,
    room: str,
    identity: str,
    *,
    attributes: Mapping[str, str] | None = None,
    metadata: str = "",
    agent: str | None = None,
    kind: Literal["standard", "sip"] = "standard",
) -> str:
    """What lets a participant into a room; `agent` names the agent that shall come there too, if it
    is not the server's only one. One of the kind `sip` counts as a telephone."""
    grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
    made = api.AccessToken(key, secret).with_identity(identity).with_name(identity.title())
    made = made.with_grants(grants).with_metadata(metadata).with_attributes(dict(attributes or {}))
    made = made.with_kind(kind)
    if agent is not None:
        dispatch = api.RoomAgentDispatch(agent_name=agent)
        made = made.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return made.to_jwt()


class Phone:
    """One participant of a room, who speaks and listens.

    Args:
        voice: A voice of espeak-ng's.
        rate: Its words a minute.
    """

    def __init__(self, *, voice: str = "en-us", rate: int = 195) -> None:
        self.room = rtc.Room()
        self.microphone = CallerMicrophone(voice=voice, rate=rate)
        self.ear = Track(EAR_RATE)
        """What was heard of the agent."""
        self.heard: list[Heard] = []
        """All text streams, in the order in which they began."""
        self.states: list[tuple[float, str]] = []
        """The agent's, each with the `time.monotonic()` at which it was reported."""
        self.on_heard: Callable[[Heard], None] = lambda _: None
        """Called when a text stream has ended."""
        self.lost_at: float | None = None
        """`time.monotonic()` when the agent left, or the room was closed; None if it is back."""
        self.joined_at = 0.0
        """`time.monotonic()` when the room had let the caller in."""
        self._spoke_at = 0.0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._publication: rtc.LocalTrackPublication | None = None
        self._line: tuple[rtc.AudioSource, rtc.AudioResampler | None] | None = None
        self._over = False
        self.room.on("track_subscribed", self._on_track)
        self.room.on("participant_attributes_changed", self._on_attributes)
        self.room.on("participant_connected", self._on_participant)
        self.room.on("participant_disconnected", self._on_left)
        self.room.on("disconnected", self._on_disconnected)
        self.room.register_text_stream_handler(TRANSCRIPTION, self._on_text)

    @property
    def identity(self) -> str:
        return self.room.local_participant.identity

    @property
    def state(self) -> str:
        """What the agent does, in LiveKit's words; empty before it has come."""
        return self.states[-1][1] if self.states else ""

    @property
    def agent_said(self) -> list[str]:
        """The agent's words, segment by segment, as far as they have come."""
        return [one.text for one in self.heard if one.speaker != self.identity]

    @property
    def understood(self) -> list[str]:
        """What the agent has understood of the caller, sentence by sentence."""
        return [one.text for one in self.heard if one.speaker == self.identity and one.final]

    async def dial(
        self, url: str, token: str, *, speaks: bool = True, rate: int = MICROPHONE_RATE
    ) -> Self:
        """Join the room; with a microphone that is on, unless it is for text only.

        Args:
            rate: Samples a second of the microphone's track.
        """
        await self.room.connect(url, token)
        self._spoke_at = time.monotonic()
        self.joined_at = self._spoke_at - self._joined_ago()
        for participant in self.room.remote_participants.values():
            self._on_participant(participant)
        if speaks:
            await self._publish(rate)
            self._spawn(self._talk())
        return self

    async def change_microphone(self, rate: int) -> None:
        """Go on with a microphone whose track has another sample rate."""
        if self._publication is not None:
            await self.room.local_participant.unpublish_track(self._publication.sid)
        await self._publish(rate)

    async def say(self, text: str) -> None:
        """Say it; returns when the last of it has been said."""
        await self._in_time(self.microphone.speak(text), f"being able to say {text!r}")
        self._spoke_at = time.monotonic()

    async def write(self, text: str) -> None:
        """Send it as a chat message."""
        self._spoke_at = time.monotonic()
        await self.room.local_participant.send_text(text, topic=CHAT)

    async def greeted(self, patience: float = GREETING_WITHIN) -> None:
        """Wait until the agent is there and has greeted; one that is silent for so many seconds
        lets the caller begin."""
        await self.until(lambda: self.state not in ("", "initializing"), "the agent")
        try:
            await self.until(
                lambda: "speaking" in [state for _, state in self.states], "", patience
            )
        except CallFailedError:
            if self._over:
                raise
            return
        await self.answered()

    async def answered(self, timeout: float = PATIENCE) -> None:
        """Wait until the agent has answered what was last said (first: until it has greeted), and
        listens again."""

        def words() -> list[Heard]:
            return [one for one in self.heard if one.speaker != self.identity]

        def listens_again() -> bool:
            # A busy agent can be listening again before it has reported that it speaks: LiveKit
            # drops a state that a newer one overtakes. Then its words count.
            spoken = [at for at, state in self.states if state == "speaking"]
            spoken += [one.begun_at for one in words() if one.ended]
            if self.state == "listening":
                return max(spoken, default=0.0) > self._spoke_at
            # It can also fail to report that it listens.
            ended = [one.ended_at or 0.0 for one in words() if one.begun_at > self._spoke_at]
            return bool(ended) and 0.0 < min(ended) <= max(ended) < time.monotonic() - STATE_WITHIN

        def read() -> bool:
            # States and words come by different ways: the words can be the later ones.
            last = words()[-1]
            return last.ended and last.begun_at > self._spoke_at

        await self.until(listens_again, "an answer", timeout)
        if not words():
            return  # some agents never send any
        try:
            await self.until(read, "", WORDS_WITHIN)
        except CallFailedError:
            if self._over:
                raise

    async def talking(self, seconds: float) -> None:
        """Wait until the agent has been talking for so long since what was last said."""

        def talks() -> bool:
            at, state = self.states[-1] if self.states else (0.0, "")
            return state == "speaking" and at > self._spoke_at

        await self.until(talks, "an answer to begin")
        await asyncio.sleep(max(0.0, self.states[-1][0] + seconds - time.monotonic()))

    async def ended(self, timeout: float = PATIENCE) -> None:
        """Wait until the agent is gone."""
        await self._come(lambda: self.lost_at is not None, "the end of the call", timeout)

    async def resumed(self, timeout: float = PATIENCE) -> None:
        """Wait until the agent is back."""
        await self._come(lambda: self.lost_at is None, "the agent's return", timeout)

    async def until(
        self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE
    ) -> None:
        """Wait for something that the room reports.

        Raises:
            CallFailedError: It did not come within so many seconds, or the room was closed. (An
                agent that leaves may come back: so it looks when a connection is made anew.)
        """

        def there() -> bool:
            if self._over:
                raise CallFailedError(f"the room was closed before {what}: {self._story()}")
            return self.lost_at is None and condition()

        await self._come(there, what, timeout)

    def mute(self) -> None:
        if self._publication is not None and self._publication.track is not None:
            self._publication.track.mute()

    def unmute(self) -> None:
        if self._publication is not None and self._publication.track is not None:
            self._publication.track.unmute()

    async def hang_up(self) -> None:
        """Leave the room."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def _publish(self, rate: int) -> None:
        source = rtc.AudioSource(rate, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publication = await self.room.local_participant.publish_track(track, options)
        other = rate != MICROPHONE_RATE
        self._line = source, rtc.AudioResampler(MICROPHONE_RATE, rate) if other else None

    async def _talk(self) -> None:
        async for frame in self.microphone:
            assert self._line is not None
            source, resampler = self._line
            for one in [frame] if resampler is None else resampler.push(frame):
                await source.capture_frame(one)

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=EAR_RATE, num_channels=1, frame_size_ms=20)
        # Frames come a second a second; a late event loop sees several at once. So each begins
        # where the one before ended, unless it was there earlier than that, or far later.
        ends_at = 0.0
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16).copy()
                seconds = len(samples) / EAR_RATE
                begins_at = time.monotonic() - seconds
                if ends_at < begins_at < ends_at + _JUMP:
                    begins_at = ends_at
                self.ear.add(begins_at, samples)
                ends_at = begins_at + seconds
        finally:
            await stream.aclose()

    async def _read(self, reader: rtc.TextStreamReader, heard: Heard) -> None:
        with contextlib.suppress(Exception):  # cut off by the end of the call: what came stays
            async for chunk in reader:
                heard.chunks.append(chunk)
                self._changed.set()
        heard.attributes = dict(reader.info.attributes or {})
        heard.ended_at = time.monotonic()
        self.on_heard(heard)
        self._changed.set()

    def _joined_ago(self) -> float:
        """How long ago the server let the caller in, in seconds: the connection is made after that.
        Older versions of livekit.rtc do not tell, and here it is 0."""
        joined = getattr(self.room.local_participant, "joined_at", None)
        return max(0.0, time.time() - joined.timestamp()) if joined is not None else 0.0

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        async def come() -> None:
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()

        await self._in_time(come(), what, timeout)

    async def _in_time(
        self, coming: Coroutine[Any, Any, None], what: str, timeout: float = PATIENCE
    ) -> None:
        try:
            async with asyncio.timeout(timeout):
                await coming
        except TimeoutError:
            raise CallFailedError(f"waited {timeout:.0f} s for {what}: {self._story()}") from None

    def _story(self) -> str:
        if not self.states:
            return "none has come (is a worker running? A server gives no call to one that is busy)"
        states = ", ".join(state for _, state in self.states)
        words = "".join(f"; {one.speaker} said {one.text!r}" for one in self.heard)
        return f"the agent was {states}{words}"

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        heard = Heard(identity, attributes=dict(reader.info.attributes or {}))
        self.heard.append(heard)
        self._spawn(self._read(reader, heard))

    def _on_track(
        self,
        track: rtc.Track,
        _publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant):
            self._spawn(self._listen(track))

    def _on_participant(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.lost_at = None
            self._note(participant.attributes)

    def _on_attributes(
        self, changed: Mapping[str, str] | Iterable[str], participant: rtc.Participant
    ) -> None:
        if _is_agent(participant) and AGENT_STATE in changed:
            self._note(participant.attributes)

    def _note(self, attributes: Mapping[str, str]) -> None:
        state = attributes.get(AGENT_STATE)
        if state and state != self.state:
            self.states.append((time.monotonic(), state))
        self._changed.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self._lose()

    def _on_disconnected(self, _reason: Any) -> None:
        self._over = True
        self._lose()

    def _lose(self) -> None:
        if self.lost_at is None:
            self.lost_at = time.monotonic()
        self._changed.set()


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
