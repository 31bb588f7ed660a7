"""The demo's call over a real LiveKit server: `python samples/agent.py dev`, and a caller."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest
import pytest_asyncio
from livekit import rtc
from samples.offline.phone import Phone
from samples.offline.waveform import first_sound

from prefactor_agent.demo.caller import EAR_RATE
from prefactor_agent.demo.script import CALLER, GREETING, INTERRUPTED, RULES
from prefactor_agent.demo.server import VOICE_SPEED, VoicePace
from prefactor_agent.demo.speech import Sound, speak
from prefactor_agent.stored import recording
from prefactor_agent.stored.recording import Recording
from support import recordings
from support.livekit import Site, Trace, Worker, trace_of

ROOM = "the shop"
MARGIN = 0.3
"""Seconds by which the state may be told later than the voice is heard."""
QUIET = 100
"""-50 dBFS."""
NEAR = 0.15
"""Seconds. A sentence is 0.05 s longer to the agent, as MP3, and its last sound may be soft."""


@dataclass
class Held:
    """One call, which all tests here look at."""

    phone: Phone
    trace: Trace


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call(site: Site, shop: Worker) -> AsyncIterator[Held]:
    phone = await site.phone(ROOM, "ada", attributes={"plan": "gold"}, metadata="regular")
    async with phone:
        await phone.answered()
        for line in CALLER:
            if line.after == "talking":
                await phone.talking(line.breath)
            else:
                await asyncio.sleep(line.breath)
            await phone.say(line.text)
            if line.text != INTERRUPTED:
                await phone.answered()
    yield Held(phone, await asyncio.to_thread(trace_of, shop.journal, ROOM))


def test_every_word_was_heard(call: Held):
    said = [line.text for line in CALLER]
    assert call.phone.understood == said
    assert call.trace.heard == said


def test_every_word_was_spoken(call: Held):
    assert call.trace.spoken[0] == GREETING
    assert call.trace.spoken == call.phone.agent_said


def test_the_trace_is_whole(call: Held):
    call.trace.check_whole()
    assert call.trace.session.status == "complete"
    assert call.trace.session.result["close_reason"] == "participant_disconnected"


def test_the_tools_were_called(call: Held):
    wanted = [[one.name for one in rule.calls] for rule in RULES if rule.calls]
    tools = call.trace.of("tool")
    assert [tool.payload["tool_name"] for tool in tools] == list(chain(*wanted))
    assert [tool.status for tool in tools] == ["complete"] * 3 + ["failed"]


def test_the_room_the_job_and_the_caller_are_in_the_trace(call: Held):
    payload = call.trace.session.payload
    assert payload["room"]["name"] == ROOM
    assert payload["job"]["id"].startswith("AJ_")
    caller = payload["participant"]
    assert (caller["identity"], caller["name"], caller["kind"]) == ("ada", "Ada", "standard")
    assert caller["attributes"] == {"plan": "gold"}
    assert caller["metadata"] == "regular"


def test_what_was_spoken_ends_where_the_caller_stopped_hearing_it(call: Held):
    (answer,) = (turn for turn in call.trace.of("assistant_turn") if turn.result["interrupted"])
    assert answer.result["interrupted_by"] == "user"
    assert answer.result["spoken_text"] == call.phone.agent_said[-2]
    speaking = [at for at, state in call.phone.states if state == "speaking"]
    heard = call.phone.ear.between(speaking[-2] - MARGIN, speaking[-1] - MARGIN)
    whole = next(rule.says for rule in RULES if rule.question == INTERRUPTED)
    ended = place(heard.trimmed(QUIET), voice_of(whole))
    assert abs(ended - answer.result["playback_position_s"]) < NEAR


def voice_of(text: str) -> Sound:
    """The agent's, as the models give it: sentence by sentence."""
    silence = VoicePace().leading_silence
    sentences = text.replace(". ", ".|").split("|")
    spoken = [speak(one, rate=VOICE_SPEED).trimmed().after_silence(silence) for one in sentences]
    return Sound(np.concatenate([one.at(EAR_RATE).samples for one in spoken]), EAR_RATE)


def place(heard: Sound, voice: Sound) -> float:
    """Where in a voice somebody stopped hearing it, in seconds: where their last half second is
    most alike. (How long they listened would not tell: a voice may come late, with silences.)"""
    last = heard.samples[-heard.rate // 2 :].astype(float)
    whole = voice.samples.astype(float)
    size, places = len(whole) + len(last), len(whole) - len(last) + 1
    spectrum = np.fft.rfft(whole, size) * np.fft.rfft(last, size).conj()
    energy = np.cumsum([0.0, *whole**2])
    alike = np.fft.irfft(spectrum, size)[:places] / np.sqrt(energy[-places:] - energy[:places] + 1)
    return float(np.argmax(alike) + len(last)) / voice.rate


def test_the_pickup_is_what_the_caller_waited_for(call: Held):
    pickup = call.trace.session.result["pickup"]
    assert round(sum(stage["ms"] for stage in pickup["stages"]), 3) == pickup["ms"]
    names = [stage["name"] for stage in pickup["stages"]]
    assert {"connect", "tts_ttfb", "leading_silence"} <= {*names}
    if not hasattr(rtc.Participant, "joined_at"):
        assert pickup["basis"] == {"from": "session_start", "to": "audio"}
        return
    assert pickup["basis"] == {"from": "joined", "to": "audio"}
    assert names[0] == "dispatch"
    ear, since = call.phone.ear, call.phone.joined_at
    heard = first_sound(ear.between(since, since + pickup["ms"] / 1000 + 3.0).samples, EAR_RATE)
    # The network, a jitter buffer and the codec are between the agent's node and the ear; how exact
    # it is on a quiet machine is measured by benchmarks/pickup_truth.py.
    assert heard is not None and -0.1 < heard - pickup["ms"] / 1000 < 1.0


@pytest.fixture
def recorded(call: Held, shop: Worker) -> Recording:
    found = recording.of_call(shop.journal, call.trace.session.id)
    assert found is not None
    assert call.trace.session.result["recording"].get("missing_s", 0) < 0.5  # the clock moves
    return found


def test_the_recording_has_both_voices_where_the_trace_has_them(call: Held, recorded: Recording):
    caller, agent = recordings.lags(recorded, call.trace.spans)
    assert (len(caller), len(agent)) == (len(CALLER), len(CALLER) + 1)
    apart = sorted(map(abs, [*caller, *agent]))
    assert apart[int(0.95 * (len(apart) - 1))] < 0.02, (caller, agent)


def test_the_dead_air_in_the_recording_is_what_the_trace_says(call: Held, recorded: Recording):
    apart = recordings.dead_air(recorded, call.trace.spans)
    assert len(apart) == len(CALLER)
    assert apart == [(pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02))] * len(apart)


def test_it_was_delivered(call: Held, site: Site, shop: Worker):
    site.delivered(shop, call.trace)
    assert site.prefactor.violations() == []
