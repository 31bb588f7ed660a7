"""What holds for any turn, and a silence while it lasts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conversation.turns import asked, model, moments, ms, present, reply, told, voice
from prefactor_agent.conversation import (
    AgentSide,
    ModelCall,
    ToolRun,
    UserSide,
    VoiceCall,
    measure,
    so_far,
)


def test_an_agent_heard_before_the_user_was_done_has_no_silence():
    latency = measure(
        UserSide(heard_until=ms(2000), committed=ms(650)),
        reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)]),
    )
    assert latency is not None
    assert (latency.perceived_us, latency.stages) == (0, [])
    assert latency.as_json()["overlap_ms"] == 450


def test_a_running_turn_tells_what_it_waited_for_so_far():
    waiting = so_far(asked(), reply(playing=None, models=[model(670, None)]), ms(1200) or 0)
    assert waiting is not None
    assert told(waiting)["llm_queue"] == 10
    assert told(waiting)["llm_ttft"] == 530
    early = so_far(asked(final=None, committed=None, hook=None), None, ms(900) or 0)
    assert told(early) == {"vad": 500, "transcript": 400}


# What holds for any moments

models = st.builds(ModelCall, present, moments, moments, st.lists(st.sampled_from("ab")).map(tuple))
tools = st.builds(ToolRun, st.sampled_from("abc"), present, moments)
voices = st.builds(
    VoiceCall,
    present,
    moments,
    moments,
    st.none() | st.integers(0, 500_000_000),
    st.lists(st.tuples(st.integers(0, 10**9), present)).map(sorted).map(tuple),
    st.booleans(),
)
replies: Any = st.deferred(
    lambda: st.builds(
        AgentSide,
        created=present,
        models=st.lists(models, max_size=3),
        tools=st.lists(tools, max_size=3),
        voices=st.lists(voices, max_size=2),
        first_text=moments,
        left=moments,
        enter_began=moments,
        enter_ended=moments,
        awaited=st.none() | tools,
        previous_ended=moments,
        playback_started=moments,
        played_ns=st.none() | st.integers(0, 10**9),
        cause=st.none() | replies,
    )
)
askings = st.builds(UserSide, moments, moments, moments, moments, moments, moments, st.booleans())


@given(askings, replies)
def test_stages_are_never_negative_and_sum_to_what_was_perceived(user: UserSide, agent: AgentSide):
    latency = measure(user, agent)
    if latency is None:
        return
    begun, heard = user.end(), agent.sound()
    assert begun is not None and heard is not None
    assert latency.perceived_us == max(0, heard[0] // 1000 - begun[0] // 1000)
    assert sum(us for _, us in latency.stages) == latency.perceived_us
    assert all(us > 0 for _, us in latency.stages)


@given(askings, st.none() | replies, present)
def test_so_does_a_turn_that_still_runs(user: UserSide, agent: AgentSide | None, now: int):
    latency = so_far(user, agent, now)
    if latency is None:
        return
    assert latency.perceived_us == max(0, now // 1000 - latency.start // 1000)
    assert all(us > 0 for _, us in latency.stages)
