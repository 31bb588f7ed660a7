"""Every kind of turn with numbers worked out by hand, and what holds for any moments at all.

Moments here are in milliseconds after the user's last sound."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefactor_agent.latency import (
    Asked,
    Latency,
    ModelCall,
    Playout,
    Reply,
    Step,
    ToolRun,
    VoiceCall,
    exceeded,
    measure,
    median,
    percentile,
    so_far,
    split,
    starved,
    summarize,
)

MS = 1_000_000
BASE = 5_000_000 * MS


def ms(moment: float | None) -> int | None:
    return None if moment is None else BASE + int(moment * MS)


def asked(
    vad: float | None = 500,
    final: float | None = 600,
    committed: float | None = 650,
    hook: float | None = 660,
    **more: Any,
) -> Asked:
    return Asked(
        heard_until=ms(0),
        vad_ended=ms(vad),
        final_transcript=ms(final),
        committed=ms(committed),
        hook_done=ms(hook),
        **more,
    )


def model(called: float, first: float | None, ended: float | None = None, *tools: str) -> ModelCall:
    return ModelCall(ms(called) or 0, ms(first), ms(ended), tools)


def voice(called: float, text: float, frame: float | None, silence: float = 150) -> VoiceCall:
    late = ((0, ms(frame) or 0),) if frame is not None else ()
    return VoiceCall(ms(called) or 0, ms(text), ms(frame), int(silence * MS), late)


def reply(created: float = 661, playing: float | None = 1400, **more: Any) -> Reply:
    return Reply(created=ms(created) or 0, playback_started=ms(playing), **more)


def told(latency: Latency | None) -> dict[str, float]:
    assert latency is not None
    stages: dict[str, float] = {}
    for name, us in latency.stages:
        stages[name] = stages.get(name, 0) + us / 1000
    assert sum(us for _, us in latency.stages) == latency.perceived_us
    return stages


# The special turns


def test_a_plain_turn_has_every_stage_in_order():
    latency = measure(asked(), reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)]))
    assert latency is not None
    assert [(name, us / 1000) for name, us in latency.stages] == [
        ("vad", 500),
        ("transcript", 100),
        ("endpointing", 50),
        ("on_user_turn_completed", 10),
        ("llm_queue", 10),
        ("llm_ttft", 330),
        ("first_sentence", 100),
        ("tts_ttfb", 290),
        ("playback", 10),
        ("leading_silence", 150),
    ]
    assert latency.perceived_us == 1_550_000
    assert (latency.since, latency.until) == ("audio", "audio")


def test_a_streaming_stt_that_is_final_before_the_vad_costs_nothing():
    stages = told(
        measure(
            asked(vad=500, final=200),
            reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)]),
        )
    )
    assert "transcript" not in stages
    assert (stages["vad"], stages["endpointing"]) == (500, 150)


def test_two_transcripts_in_a_turn_count_once_by_the_last():
    # The first part was final 800 ms before the user was done: only the last final is a moment.
    stages = told(
        measure(
            asked(final=560), reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)])
        )
    )
    assert (stages["vad"], stages["transcript"], stages["endpointing"]) == (500, 60, 90)


def test_preemptive_generation_that_is_kept_costs_only_what_is_left_after_the_commit():
    # Asked at 600 with the transcript; 60 ms of its 400 passed before the turn was handed on.
    stages = told(
        measure(
            asked(),
            reply(created=600, models=[model(602, 1000)], voices=[voice(1001, 1100, 1390)]),
        )
    )
    assert "llm_queue" not in stages
    assert stages["llm_ttft"] == 340
    assert stages["on_user_turn_completed"] == 10


def test_preemptive_generation_that_ran_before_the_end_of_speech_is_free():
    # An early final started it all 300 ms before the user was done; the audio waited.
    latency = measure(
        asked(final=-300),
        reply(
            created=-300,
            playing=665,
            models=[model(-298, -100)],
            voices=[voice(-99, -50, 100)],
        ),
    )
    assert told(latency) == {
        "vad": 500,
        "endpointing": 150,
        "on_user_turn_completed": 10,
        "playback": 5,
        "leading_silence": 150,
    }


def test_preemptive_generation_that_is_dropped_does_not_count():
    # The reply made anew is a speech of its own: only its own calls are there.
    stages = told(
        measure(
            asked(),
            reply(created=662, models=[model(665, 1065)], voices=[voice(1066, 1100, 1390)]),
        )
    )
    assert (stages["llm_queue"], stages["llm_ttft"], stages["first_sentence"]) == (5, 400, 35)


def test_a_turn_that_the_user_resumed_has_no_latency_before_it_is_heard():
    stopped = reply(playing=None, silent=True, models=[model(670, 1000)])
    assert measure(asked(), stopped) is None


def test_a_turn_stopped_within_its_leading_silence_was_not_heard():
    stopped = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)], played_ns=100 * MS)
    assert measure(asked(), stopped) is None
    heard = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)], played_ns=400 * MS)
    assert measure(asked(), heard) is not None


def test_a_tool_turn_has_the_stages_of_both_calls_of_the_model():
    stages = told(
        measure(
            asked(),
            reply(
                playing=2400,
                models=[model(670, 900, 950, "look_up"), model(1300, 1700)],
                tools=[ToolRun("look_up", ms(920) or 0, ms(1280))],
                voices=[voice(1701, 1750, 2390)],
            ),
        )
    )
    assert stages == {
        "vad": 500,
        "transcript": 100,
        "endpointing": 50,
        "on_user_turn_completed": 10,
        "llm_queue": 10,
        "llm_ttft": 230,
        "llm_tool_call": 20,
        "tool:look_up": 360,
        "llm_queue_2": 20,
        "llm_ttft_2": 400,
        "first_sentence": 50,
        "tts_ttfb": 640,
        "playback": 10,
        "leading_silence": 150,
    }


def test_of_parallel_tools_the_one_that_ends_last_is_waited_for():
    stages = told(
        measure(
            asked(),
            reply(
                playing=2400,
                models=[model(670, 900, 960), model(1500, 1700)],
                tools=[
                    ToolRun("quick", ms(920) or 0, ms(1000)),
                    ToolRun("slow", ms(940) or 0, ms(1490)),
                ],
                voices=[voice(1701, 1750, 2390)],
            ),
        )
    )
    assert (stages["tool:quick"], stages["tool:slow"], stages["llm_queue_2"]) == (20, 550, 10)


def test_a_tool_that_nobody_watched_is_told_by_its_name():
    stages = told(
        measure(
            asked(),
            reply(
                playing=2400,
                models=[model(670, 900, 950, "mcp_search"), model(1500, 1700)],
                voices=[voice(1701, 1750, 2390)],
            ),
        )
    )
    assert (stages["llm_tool_call"], stages["tool:mcp_search"]) == (50, 550)


def test_words_before_a_tool_end_the_silence_before_it():
    # "Let me see" is spoken while the tool runs; the answer's own calls come after the silence.
    stages = told(
        measure(
            asked(),
            reply(
                models=[model(670, 900, 1050, "slow"), model(4000, 4300)],
                tools=[ToolRun("slow", ms(1050) or 0, ms(3990))],
                voices=[voice(901, 1000, 1390), voice(4301, 4350, 4700)],
            ),
        )
    )
    assert stages["tts_ttfb"] == 390
    assert not any(name.startswith("tool:") for name in stages)
    assert sum(stages.values()) == 1550


def test_a_filler_said_by_a_tool_ends_the_silence_and_is_marked():
    answer = reply(
        playing=None,
        models=[model(670, 900, 950, "slow")],
        tools=[ToolRun("slow", ms(920) or 0, None)],
    )
    filler = reply(created=1000, playing=1400, voices=[voice(1005, 1010, 1390)], cause=answer)
    latency = measure(asked(), filler)
    assert latency is not None
    assert latency.filler
    assert latency.as_json()["filler"] is True
    stages = told(latency)
    assert stages["tool:slow"] == 80  # until it spoke, though it runs on
    assert stages["first_sentence"] == 10
    assert stages["tts_ttfb"] == 380
    assert sum(stages.values()) == 1550


def test_a_handoff_and_on_enter_lie_between_the_tool_and_the_new_agents_words():
    old = reply(
        playing=None,
        models=[model(670, 900, 950, "transfer")],
        tools=[ToolRun("transfer", ms(920) or 0, ms(940))],
    )
    new = reply(
        created=1200,
        playing=2000,
        enter_began=ms(990),
        enter_ended=ms(1210),
        models=[model(1215, 1500)],
        voices=[voice(1501, 1600, 1990)],
        cause=old,
    )
    latency = measure(asked(), new)
    stages = told(latency)
    assert stages["tool:transfer"] == 20
    assert (stages["handoff"], stages["on_enter"], stages["llm_queue"]) == (50, 210, 25)
    assert latency is not None and not latency.filler


def test_what_the_tool_does_before_it_awaits_a_task_is_the_tools():
    old = reply(
        playing=None,
        models=[model(670, 900, 950, "book")],
        tools=[ToolRun("book", ms(920) or 0, None)],  # it awaits the task
    )
    new = reply(
        created=1000,
        playing=1400,
        left=ms(960),
        enter_began=ms(990),
        voices=[voice(1005, 1010, 1390)],
        cause=old,
    )
    stages = told(measure(asked(), new))
    assert (stages["tool:book"], stages["handoff"], stages["on_enter"]) == (40, 30, 10)


def test_after_a_task_the_rest_of_the_tool_is_waited_for():
    inside = reply(
        playing=None,
        models=[model(670, 900, 950, "note")],
        tools=[ToolRun("note", ms(920) or 0, ms(940))],
    )
    after = reply(
        created=970,  # what the speech did before the task is left out
        playing=1900,
        awaited=ToolRun("book", ms(970) or 0, ms(1100)),
        models=[model(1110, 1300)],
        voices=[voice(1301, 1310, 1890)],
        cause=inside,
    )
    latency = measure(asked(), after)
    stages = told(latency)
    assert (stages["tool:note"], stages["handoff"], stages["tool:book"]) == (20, 30, 130)
    assert (stages["llm_queue"], stages["llm_ttft"]) == (10 + 10, 230 + 190)
    assert latency is not None and not latency.filler


def test_a_turn_without_a_model_is_said_by_the_hook():
    # on_user_turn_completed says it and goes on for a second: that is not waited for.
    stages = told(measure(asked(hook=1700), reply(created=700, voices=[voice(702, 705, 1390)])))
    assert stages["on_user_turn_completed"] == 50
    assert (stages["first_sentence"], stages["tts_ttfb"]) == (5, 685)


def test_a_manual_turn_waits_for_the_program_to_commit():
    # No VAD at all; the program ends the turn, then the transcript is fetched.
    stages = told(
        measure(
            asked(vad=None, final=900, committed=910, hook=None),
            reply(created=911, models=[model(912, 1000)], voices=[voice(1001, 1100, 1390)]),
        )
    )
    assert (stages["transcript"], stages["endpointing"], stages["llm_queue"]) == (900, 10, 2)


def test_a_typed_turn_begins_when_the_message_came_in():
    latency = measure(
        Asked(committed=ms(0), typed=True),
        reply(created=0, playing=None, models=[model(5, 300)], first_text=ms(302)),
    )
    assert latency is not None
    assert told(latency) == {"llm_queue": 5, "llm_ttft": 295, "first_sentence": 2}
    assert (latency.since, latency.until) == ("text", "text")


def test_a_typed_turn_that_is_answered_aloud():
    latency = measure(
        Asked(committed=ms(0), typed=True),
        reply(created=0, playing=700, models=[model(5, 300)], voices=[voice(301, 320, 690)]),
    )
    assert latency is not None
    assert (latency.since, latency.until) == ("text", "audio")
    assert latency.perceived_us == 850_000


def test_the_next_best_moments_are_named():
    no_levels = Asked(vad_estimate=ms(20), vad_ended=ms(500), committed=ms(650))
    spoken = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)])
    latency = measure(no_levels, spoken)
    assert latency is not None
    assert (latency.since, latency.perceived_us) == ("vad", 1_530_000)
    assert measure(Asked(vad_ended=ms(500)), spoken).since == "vad_end"  # type: ignore[union-attr]
    assert measure(Asked(final_transcript=ms(500)), spoken).since == "transcript"  # type: ignore[union-attr]
    assert measure(Asked(committed=ms(500)), spoken).since == "commit"  # type: ignore[union-attr]
    assert measure(Asked(), spoken) is None

    ready_made = measure(asked(), reply(created=700, playing=720))
    assert ready_made is not None
    assert (ready_made.until, ready_made.perceived_us) == ("playback", 720_000)
    untold = measure(
        asked(), reply(playing=None, models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)])
    )
    assert untold is not None
    assert (untold.until, untold.perceived_us) == ("first_frame", 1_540_000)


def test_noise_that_goes_on_after_the_voice_is_not_the_user():
    noisy = Asked(heard_until=ms(640), vad_estimate=ms(100), vad_ended=ms(500), committed=ms(650))
    assert noisy.end() == (ms(100), "vad")
    quiet = Asked(heard_until=ms(0), vad_estimate=ms(100), vad_ended=ms(500), committed=ms(650))
    assert quiet.end() == (ms(0), "audio")


def test_a_realtime_model_has_stages_of_its_own():
    audio = VoiceCall(ms(900) or 0, None, ms(950), 50 * MS, ((0, ms(950) or 0),), llm=True)
    latency = measure(Asked(vad_ended=ms(500)), reply(created=880, playing=960, voices=[audio]))
    assert latency is not None
    assert [(name, us / 1000) for name, us in latency.stages] == [
        ("realtime_response", 380),
        ("realtime_ttfb", 70),
        ("playback", 10),
        ("leading_silence", 50),
    ]


def test_an_answer_that_had_to_let_an_earlier_one_finish():
    stages = told(
        measure(
            asked(),
            reply(
                playing=3005,
                previous_ended=ms(3000),
                models=[model(670, 1000)],
                voices=[voice(1001, 1100, 1390)],
            ),
        )
    )
    assert (stages["previous_speech"], stages["playback"]) == (1610, 5)


def test_what_nobody_can_name_is_unattributed():
    # A speech that the program made 400 ms after it had the turn: nobody knows what it did.
    stages = told(
        measure(asked(), reply(created=1060, playing=1400, voices=[voice(1062, 1070, 1390)]))
    )
    assert stages["unattributed"] == 400


def test_an_agent_heard_before_the_user_was_done_has_no_silence():
    latency = measure(
        Asked(heard_until=ms(2000), committed=ms(650)),
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


# The player


def test_audio_that_comes_in_time_is_played_through():
    playout = Playout(1000 * MS, [(0, 990 * MS)])
    assert playout.moment(0) == 1000 * MS
    assert playout.moment(170 * MS) == 1170 * MS
    assert playout.gaps() == []


def test_a_late_frame_delays_all_that_follows():
    # 10 ms came with the start, the next only 60 ms later: the sound at 170 ms is 50 ms late.
    playout = Playout(1000 * MS, [(0, 999 * MS), (10 * MS, 1050 * MS), (500 * MS, 1300 * MS)])
    assert playout.moment(5 * MS) == 1005 * MS
    assert playout.moment(170 * MS) == 1220 * MS
    assert playout.moment(600 * MS) == 1900 * MS
    assert playout.gaps() == [(1010 * MS, 50 * MS), (1550 * MS, 250 * MS)]
    assert playout.gaps(until=500 * MS) == [(1010 * MS, 50 * MS)]


def test_audio_that_waited_for_its_turn_is_not_late():
    assert Playout(5000 * MS, [(0, 1000 * MS), (10 * MS, 1200 * MS)]).gaps() == []


def test_silence_inside_an_answer_is_told_with_its_cause():
    late = (
        (0, 1_000 * MS),
        (500 * MS, 1_300 * MS),  # 300 ms short while the model still wrote
        (900 * MS, 1_800 * MS),  # and 500 ms after it was done
        (1_500 * MS, 1_900 * MS),  # too short a gap to be heard as one
    )
    spoken = Reply(
        created=0,
        models=[ModelCall(100 * MS, 200 * MS, 1_900 * MS)],
        voices=[VoiceCall(200 * MS, 300 * MS, 1_000 * MS, 100 * MS, late)],
        playback_started=1_000 * MS,
    )
    assert starved(spoken) == [
        {"at_ns": 1_500 * MS, "ms": 300.0, "cause": "llm"},
        {"at_ns": 2_200 * MS, "ms": 500.0, "cause": "tts"},
    ]
    assert len(starved(spoken, until=800 * MS)) == 1
    assert starved(Reply(created=0)) == []


# Many turns


def one(perceived: int, **stages: int) -> Latency:
    return Latency(0, perceived, split(0, perceived, _steps(stages)), "audio", "audio")


def _steps(stages: dict[str, int]) -> list[Step]:
    steps, at = [], 0
    for name, length in stages.items():
        at += length
        steps.append(Step(name, None, at))
    return steps


def test_a_call_is_summed_up():
    turns = [one(1000 * MS, vad=300 * MS, llm_ttft=700 * MS), one(3000 * MS, vad=2600 * MS)]
    assert summarize(turns) == {
        "turns": 2,
        "median_ms": 2000.0,
        "p95_ms": 3000.0,
        "worst_ms": 3000.0,
        "slowest_stage": "vad",
    }
    assert summarize([]) is None


def test_percentiles_are_values_that_there_were():
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 95), percentile(values, 100), percentile([7.0], 95)) == (95, 100, 7)
    assert (median(values), median([3.0, 1.0, 2.0])) == (50.5, 2)


def test_what_is_over_budget_is_told():
    turn = one(1500 * MS, vad=500 * MS, llm_ttft=700 * MS)
    budgets = {"perceived": 1.2, "llm_ttft": 0.6, "vad": 0.6, "tts_ttfb": 0.1}
    assert exceeded(turn, budgets) == {"perceived": 1.5, "llm_ttft": 0.7}


# What holds for any moments

moments = st.none() | st.integers(-3_000_000_000, 20_000_000_000)
present = st.integers(-3_000_000_000, 20_000_000_000)
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
        Reply,
        created=present,
        models=st.lists(models, max_size=3),
        tools=st.lists(tools, max_size=3),
        voices=st.lists(voices, max_size=2),
        first_text=moments,
        enter_began=moments,
        enter_ended=moments,
        previous_ended=moments,
        playback_started=moments,
        played_ns=st.none() | st.integers(0, 10**9),
        cause=st.none() | replies,
    )
)
askings = st.builds(Asked, moments, moments, moments, moments, moments, moments, st.booleans())


@given(askings, replies)
def test_stages_are_never_negative_and_sum_to_what_was_perceived(user: Asked, agent: Reply):
    latency = measure(user, agent)
    if latency is None:
        return
    begun, heard = user.end(), agent.sound()
    assert begun is not None and heard is not None
    assert latency.perceived_us == max(0, heard[0] // 1000 - begun[0] // 1000)
    assert sum(us for _, us in latency.stages) == latency.perceived_us
    assert all(us > 0 for _, us in latency.stages)


@given(askings, st.none() | replies, present)
def test_so_does_a_turn_that_still_runs(user: Asked, agent: Reply | None, now: int):
    latency = so_far(user, agent, now)
    if latency is None:
        return
    assert latency.perceived_us == max(0, now // 1000 - latency.start // 1000)
    assert all(us > 0 for _, us in latency.stages)


@given(present, present, st.lists(st.builds(Step, st.sampled_from("abc"), moments, moments)))
def test_any_steps_cut_any_time_exactly(start: int, end: int, steps: list[Step]):
    stages = split(start, end, steps)
    assert sum(us for _, us in stages) == max(0, end // 1000 - start // 1000)
    assert all(us > 0 for _, us in stages)
