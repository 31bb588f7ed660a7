"""The user's turns of one session: when each began, what was heard, when LiveKit took it as
finished."""

from __future__ import annotations

from collections import deque
from typing import Any

from livekit.agents import UserInputTranscribedEvent, UserStateChangedEvent, llm

from ...core.clock import from_wall, now_ns, to_unix_us
from ...core.guard import guarded
from ...core.json import JSON
from ...core.span import Status
from ..audio.user_voice import UserVoice
from ..livekit import private as livekit_private
from .added_silence import added_silence_ns
from .awaited_words import AwaitedWords
from .context import TurnRefs
from .recent import RecentTurns
from .state import Partial, Scope
from .turn import AssistantTurn, UserTurn
from .user_turn_spans import UserTurnSpans
from .utterance import end_utterance

STALE_NS = 2_000_000_000
"""A user turn without a word, when there is sound again this long after its own ended, was no
turn."""


class UserTurns:
    """Makes and ends the user's turns, and sets ``state.user_turn``."""

    def __init__(self, scope: Scope, voice: UserVoice, refs: TurnRefs, recent: RecentTurns) -> None:
        self._spans, self._state, self._signals = scope
        self._voice = voice
        self._refs = refs
        self._recent = recent
        self._turn_spans = UserTurnSpans(scope, voice, recent)
        self._set_aside: deque[UserTurn] = deque()
        """LiveKit holds none of their words any more: it takes them later, or has given them up."""
        self._speaking_since: int | None = None
        """When the VAD was last sure that the user speaks."""
        self._typing = False
        self._committed: deque[UserTurn] = deque(maxlen=8)
        self.awaited = AwaitedWords(
            lambda turn: self._end(turn, Status.COMPLETE, at=turn.moments["committed"])
        )
        self._taken: UserTurn | None = None
        """The last one that a realtime model took."""
        self._latest: UserTurn | None = None
        """The last one that began with a sound."""
        self._spoken_over: AssistantTurn | None = None
        """What that one began to be spoken over."""
        voice.on_moved.append(self._on_sound_moved)

    def catch_up(self) -> None:
        """Bring the moments of the turns up to date: what has been heard may have moved them."""
        self._voice.catch_up()

    def begin(self, at: int, *, soundless: bool = False) -> UserTurn:
        """The user's turn that is open, or a new one that began ``at``.

        Args:
            soundless: It begins with words whose sound an earlier turn has.
        """
        turn = self._state.user_turn
        resumed: int | None = None
        if turn is not None and (taken := turn.moments.get("committed")) is not None:
            if at <= taken:
                return turn
            end_utterance(self._spans, self._voice, turn.take_utterance(), at=at)
            self._take(turn)
            turn = self._state.user_turn
        if turn is not None and self._was_let_go(turn, at):
            self._let_go(turn)
            turn = None
        if turn is not None:
            ended = turn.over_ns()
            if turn.heard_anything() or ended is None or at - ended < STALE_NS:
                return turn
            if "vad_ended" not in turn.moments:
                # The VAD was faster than the STT: what it hears is the turn that begins now.
                resumed = self._speaking_since
            self._give_up(turn, at=ended)
        turn = self._turn_spans.begin("audio", at)
        turn.moments["speech_started"] = at
        if resumed is not None and resumed >= at:
            turn.moments["vad_started"] = resumed
        turn.soundless, turn.heard_by_model = soundless, self._state.realtime_listens
        self._state.user_turn = self._latest = turn
        self._spoken_over = None
        playing = self._state.playing
        if playing is not None and playing.user_spoke_over_ns is None and not soundless:
            playing.user_spoke_over_ns = at
            playing.user_spoke_over = turn
            self._spoken_over = playing
        return turn

    @guarded("user_turn.sound_moved")
    def _on_sound_moved(self, seemed: int, moment: int) -> None:
        """A sound was recorded at another moment than it seemed: audio that was held up arrives in
        a burst, or there was a short gap."""
        turn, over = self._latest, self._spoken_over
        if turn is None:
            return
        if turn.moments.get("speech_ended") == seemed:
            turn.moments["speech_ended"] = moment
        if turn.moments.get("speech_started") == seemed:
            turn.moments["speech_started"] = moment
            self._spans.move_start(turn.span, moment)
            self._spans.update(turn.span, started_at=to_unix_us(moment) / 1e6)
            if over is not None and over.user_spoke_over_ns == seemed:
                over.user_spoke_over_ns = moment

    def _was_let_go(self, turn: UserTurn, at: int) -> bool:
        """Whether LiveKit holds no words of a turn any more when a new sound begins: it has taken
        it, and waits for something before it says so, or it has given the words up (they were said
        over a speech that nobody may interrupt; ``clear_user_turn``)."""
        quiet = turn.moments.get("vad_ended")
        ended = turn.moments.get("speech_ended", quiet)  # nobody heard it of an untraced agent
        if not turn.finals or quiet is None or ended is None or at <= ended:
            return False
        return livekit_private.holds_words(self._state.session) is False

    def _let_go(self, turn: UserTurn) -> None:
        end_utterance(self._spans, self._voice, turn.take_utterance(), at=now_ns())
        if (ended := turn.moments.get("speech_ended")) is not None:
            self._voice.taken_until(ended)
        self._set_aside.append(turn)
        self._state.user_turn = None

    def _give_up(self, turn: UserTurn, *, at: int | None = None) -> None:
        """End a turn that was none: nobody is going to answer it."""
        self._recent.drop_question(turn)
        self._end(turn, Status.CANCELLED, at=at)

    def _claim_set_aside(self, message: llm.ChatMessage) -> UserTurn | None:
        """The turn among those set aside that LiveKit takes with this message. Those before it were
        given up, and so were all of them if it takes the one that is open."""
        metrics: Any = message.metrics or {}
        stopped = metrics.get("stopped_speaking_at")
        at = from_wall(stopped) if isinstance(stopped, float) else None
        while self._set_aside:
            turn = self._set_aside.popleft()
            following = self._set_aside[0] if self._set_aside else self._state.user_turn
            if following is None or (at is not None and at < following.span.started_ns):
                return turn
            self._give_up(turn, at=turn.over_ns())
        return None

    def of_words(self, now: int) -> UserTurn:
        """The turn that the words are of which an STT gives ``now``. It may take its time: without
        a newer sound they are those of the last one."""
        onset, turn = self._voice.recent_onset(now), self._state.user_turn
        if onset is not None:
            return self.begin(onset)
        if turn is None:
            turn = self.begin(now, soundless=self._voice.heard_until_ns is not None)
        return turn

    def commit(self, message: llm.ChatMessage) -> UserTurn:
        """LiveKit took the user's turn as finished: it hands this message to the hook."""
        told = self.awaited.claim_told(message)
        if told is not None:
            told.moments["committed"] = now_ns()
            self._taken = told
        turn = told or self._commit(message)
        self._refs.set_asked(turn)
        return turn

    def exceeded(self) -> None:
        """The agent's hook is called while the user goes on: what it says is about the open
        turn."""
        if (turn := self._state.user_turn) is not None:
            self._refs.set_asked(turn)

    def _commit(self, message: llm.ChatMessage, *, declined: bool = False) -> UserTurn:
        self.catch_up()
        now = now_ns()
        turn = (
            self._claim_set_aside(message)
            or self._state.user_turn
            or self.begin(self._voice.recent_onset(now) or now)
        )
        end_utterance(self._spans, self._voice, turn.take_utterance(), at=now)
        if turn is self._state.user_turn:
            self._note_speech_end(turn)
        turn.moments["committed"] = now
        turn.declined = declined
        if (ended := turn.moments.get("speech_ended")) is not None:
            self._voice.taken_until(ended)
        turn.take_message(message)
        if isinstance(stopped := turn.metrics.get("stopped_speaking_at"), float):
            turn.moments["vad_estimate"] = self._vad_estimate(from_wall(stopped), ended, now)
        turn.take_end(message)
        self._signals.turn_committed.emit(turn)
        if self._state.realtime_used and not turn.text():
            self._take(turn)
        else:
            self._committed.append(turn)
            self._taken = turn
            self._end(turn, Status.COMPLETE, at=now)
        return turn

    def _vad_estimate(self, told: int, heard: int | None, now: int) -> int:
        """When the VAD says, afterwards, that speech ended, in time as it passed."""
        if heard is not None and told < heard:
            told = min(heard, told + added_silence_ns(self._voice, heard))
        return min(now, told)

    # A realtime model takes a turn when it begins to answer, and may tell only later, or never,
    # what it heard.

    def taken_by_model(self, *, own: bool, pushed: bool) -> UserTurn | None:
        """The user's turn that a reply of a realtime model is to, if it is to one.

        Args:
            own: The model decided to speak; otherwise LiveKit asked it to.
            pushed: The program said that the turn is over (``commit_user_turn``)."""
        self.catch_up()
        if pushed and (onset := self._voice.recent_onset(now_ns())) is not None:
            self.begin(onset)  # without a VAD nobody said that the user speaks
        turn = self._state.user_turn
        over = turn is not None and "vad_ended" in turn.moments and "committed" not in turn.moments
        if turn is not None and (pushed or (own and over)):
            self._note_speech_end(turn)
            if (ended := turn.moments.get("speech_ended")) is not None:
                self._voice.taken_until(ended)
            turn.moments["committed"] = now_ns()
            self._signals.turn_committed.emit(turn)
            self._take(turn)
        turn = self._taken
        decided = own or pushed or (turn is not None and "hook_done" in turn.moments)
        if turn is None or turn.reply is not None or not decided:
            return None
        turn.ended_by_model = own
        return turn

    def given_up(self, turn: UserTurn, *, declined: bool) -> None:
        """LiveKit makes no answer to it.

        Args:
            declined: The agent's code wants none. (If its hook failed, the user waits for one.)
        """
        if declined:
            self._turn_spans.decline(turn)
        if self._taken is turn:
            self._taken = None

    def _take(self, turn: UserTurn) -> None:
        self._taken = turn
        if turn.utterance is not None:
            return  # an STT beside the model is still at it: its final ends the turn
        self._state.user_turn = None
        if turn.text() and not turn.goes_on():
            self._committed.append(turn)
            self._end(turn, Status.COMPLETE, at=now_ns())
            return
        turn.wordless = True
        if self._state.realtime_transcribes:
            turn.transcript_awaited = True
            self.awaited.add(turn)
        else:
            self._end(turn, Status.COMPLETE, at=turn.moments["committed"])

    def heard_out(self, turn: UserTurn) -> None:
        """An STT has said all that it heard of an open turn: LiveKit has passed it on, or will."""
        if "committed" in turn.moments and turn.finals:
            self._take(turn)

    def _note_speech_end(self, turn: UserTurn) -> None:
        if turn.soundless:
            return
        quiet = "vad_ended" in turn.moments
        voice = self._voice
        heard_until = voice.end_of_speech(now_ns()) if quiet else voice.heard_until_ns
        # A voice too faint to be told from the noise left an older sound as the last one.
        if heard_until is not None and heard_until > turn.moments["speech_started"]:
            turn.moments["speech_ended"] = heard_until

    def _end(self, turn: UserTurn, status: Status, *, at: int | None = None) -> None:
        self._turn_spans.end(turn, status, at=at)
        if turn is self._state.user_turn:
            self._state.user_turn = None

    def note_measured(self, kind: str, measurement: JSON) -> None:
        """LiveKit measured something of the turn that is open, or was the last."""
        turn = self._state.user_turn or (self._committed[-1] if self._committed else None)
        if turn is not None:
            turn.measured[kind] = measurement

    def of_message(self, message: llm.ChatMessage, speech: AssistantTurn | None) -> UserTurn:
        """The turn that a message of the user's in LiveKit's history is of.

        By LiveKit's own words: the id of the message that the hook was given; else the turn that
        the speech was made for which the message is added with (a preemptive generation keeps a
        message of its own, and the hook may have the same or other words answered); else whether
        that speech's input is text. Equal words are no sign.

        Args:
            speech: The speech that LiveKit adds it with.
        """
        if (turn := self.awaited.claim(message)) is not None:
            return turn
        known = (one for one in self._committed if one.message_id == message.id)
        if (turn := next(known, None)) is not None:
            turn.take_end(message)
            self._committed.remove(turn)
            return turn
        if speech is not None and (asked := speech.question) is not None:
            if "committed" in asked.moments or not speech.ahead:
                return asked
        elif speech is not None and speech.modality == "text":
            return self._turn_spans.typed(message, speech)
        waiting = self._state.user_turn
        if waiting is not None and self.awaited.told(message) and waiting.goes_on():
            return waiting
        if (waiting is not None and waiting.finals) or self._set_aside:
            # The agent is not traced, or LiveKit skipped the hook: this is the commit.
            declined = speech is None and not self._state.realtime_used
            turn = self._commit(message, declined=declined)
            self.awaited.note_taken(turn, message)
            if turn in self._committed:
                self._committed.remove(turn)
            return turn
        # A session that closes adds the words of an STT beside a realtime model, too.
        closing = self._state.realtime_used and livekit_private.is_closing(self._state.session)
        if closing and self._committed and self._committed[-1].message_id is None:
            self._committed[-1].take_message(message)
            return self._committed.pop()
        return self._turn_spans.typed(message, speech)

    @guarded("event.user_state_changed")
    def on_state(self, event: UserStateChangedEvent) -> None:
        now = now_ns()
        if event.new_state == "speaking" and livekit_private.user_turn_claimed(self._state.session):
            self._typing = True  # no voice: the message itself tells of its turn
        elif self._typing:
            self._typing = False
        elif event.new_state == "speaking":
            begun = self._voice.recent_onset(now) or min(now, from_wall(event.created_at))
            turn = self.begin(begun)
            if begun < turn.moments["speech_started"]:
                # A transcript was faster than the VAD, which dates the speech back to its sound.
                turn.moments["speech_started"] = begun
                self._spans.update(turn.span, started_at=to_unix_us(begun) / 1e6)
            turn.soundless = False  # its words were faster than its sound
            self._speaking_since = now
            turn.moments.setdefault("vad_started", now)
            turn.moments.pop("vad_ended", None)
        elif event.old_state == "speaking" and self._state.user_turn is not None:
            self._state.user_turn.moments["vad_ended"] = now
            self._note_speech_end(self._state.user_turn)

    @guarded("event.user_input_transcribed")
    def on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        now = now_ns()
        awaited = self.awaited.next(now)
        if not event.transcript:  # nothing was heard, or will be told later
            self.awaited.announce(self._state.user_turn or awaited, event)
            return
        turn = awaited or self.of_words(now)
        if event.language:
            turn.language = str(event.language)
        if event.speaker_id:
            turn.speaker_id = event.speaker_id
        if not event.is_final:
            turn.interims += 1
            partial = {"transcript": event.transcript, "created_at": event.created_at}
            turn.partials.append(partial)
            self._state.partials.append(Partial(turn.span.id, partial))
        else:
            turn.finals.append(event.transcript)
            if self._state.realtime_transcribes:
                self.awaited.note_told(event)
            if turn is not awaited:
                turn.moments["final_transcript"] = now
                if "committed" in turn.moments:
                    self._take(turn)

    def cancel(self) -> None:
        """The session ends: what was being said is no turn any more."""
        self.catch_up()
        while self._set_aside:
            turn = self._set_aside.popleft()
            self._give_up(turn, at=turn.over_ns())
        if (open_turn := self._state.user_turn) is not None:
            end_utterance(self._spans, self._voice, open_turn.take_utterance())
            self._give_up(open_turn)
        self.awaited.end_all()
