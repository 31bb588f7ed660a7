"""Every kind of turn, with numbers worked out by hand."""

from __future__ import annotations

from conversation.turns import MS, asked, model, ms, reply, told, voice
from prefactor_agent.conversation import ModelCall, ToolRun, UserSide, VoiceCall, measure


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


def test_an_answer_that_was_held_back_for_a_cough_waited_for_that_not_for_playback():
    held = reply(
        models=[model(670, 1000)],
        voices=[voice(1001, 1100, 1390)],
        playing=1900,
        held_until=ms(1895),
    )
    stages = told(measure(asked(), held))
    assert (stages["false_interruption"], stages["playback"]) == (505, 5)


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


def test_a_filler_said_by_a_tool_ends_the_silence():
    answer = reply(
        playing=None,
        models=[model(670, 900, 950, "slow")],
        tools=[ToolRun("slow", ms(920) or 0, None)],
    )
    filler = reply(created=1000, playing=1400, voices=[voice(1005, 1010, 1390)], cause=answer)
    stages = told(measure(asked(), filler))
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
    stages = told(measure(asked(), new))
    assert stages["tool:transfer"] == 20
    assert (stages["handoff"], stages["on_enter"], stages["llm_queue"]) == (50, 210, 25)


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
    stages = told(measure(asked(), after))
    assert (stages["tool:note"], stages["handoff"], stages["tool:book"]) == (20, 30, 130)
    assert (stages["llm_queue"], stages["llm_ttft"]) == (10 + 10, 230 + 190)


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
        UserSide(committed=ms(0), typed=True),
        reply(created=0, playing=None, models=[model(5, 300)], first_text=ms(302)),
    )
    assert latency is not None
    assert told(latency) == {"llm_queue": 5, "llm_ttft": 295, "first_sentence": 2}
    assert (latency.since, latency.until) == ("text", "text")


def test_a_typed_turn_that_is_answered_aloud():
    latency = measure(
        UserSide(committed=ms(0), typed=True),
        reply(created=0, playing=700, models=[model(5, 300)], voices=[voice(301, 320, 690)]),
    )
    assert latency is not None
    assert (latency.since, latency.until) == ("text", "audio")
    assert latency.perceived_us == 850_000


def test_a_realtime_model_has_stages_of_its_own():
    audio = VoiceCall(ms(900) or 0, None, ms(950), 50 * MS, ((0, ms(950) or 0),), llm=True)
    latency = measure(UserSide(vad_ended=ms(500)), reply(created=880, playing=960, voices=[audio]))
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


def test_until_the_program_asks_for_words_the_program_is_waited_for():
    """A timer has the model answer 2 s after the turn's hook was done."""
    stages = told(
        measure(
            asked(),
            reply(
                created=2660,
                by_program=True,
                models=[model(2670, 3000)],
                voices=[voice(3001, 3100, 3390)],
                playing=3400,
            ),
        )
    )
    assert stages["on_user_turn_completed"] == 10
    assert stages["program_call"] == 2000
    assert stages["llm_queue"] == 10


def test_what_the_answering_machine_detection_holds_back_waits_for_it():
    held = reply(
        models=[model(670, 1000)],
        voices=[voice(1001, 1100, 1390)],
        playing=2400,
        screened=ms(2395),
    )
    stages = told(measure(asked(), held))
    assert (stages["answering_machine"], stages["playback"]) == (1005, 5)


def test_so_does_what_the_program_says_after_the_verdict():
    late = reply(
        created=2000,
        by_program=True,
        screened=ms(1960),
        voices=[voice(2001, 2002, 2300)],
        playing=2310,
    )
    stages = told(measure(asked(), late))
    assert (stages["answering_machine"], stages["program_call"]) == (1300, 40)


def test_a_verdict_before_the_question_is_not_waited_for():
    before = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)], screened=ms(-900))
    assert "answering_machine" not in told(measure(asked(), before))


def test_words_that_are_not_given_to_the_voice_yet_wait_for_the_speech_before():
    queued = reply(previous_ended=ms(1500), voices=[voice(1501, 1502, 1800)], playing=1810)
    stages = told(measure(asked(), queued))
    assert stages["previous_speech"] == 840
    assert stages["first_sentence"] == 2


def test_tools_that_do_not_run_before_the_speech_before_is_over_wait_for_it():
    queued = reply(
        previous_ended=ms(1600),
        models=[model(670, 1000, 1100, "look"), model(2000, 2100)],
        tools=[ToolRun("look", ms(1601) or 0, ms(2000))],
        voices=[voice(2101, 2102, 2300)],
        playing=2310,
    )
    stages = told(measure(asked(), queued))
    assert stages["llm_tool_call"] == 101
    assert stages["previous_speech"] == 500
    assert stages["tool:look"] == 399


def test_a_realtime_model_that_is_asked_again_with_a_tools_result():
    """Each of its replies has a stage; the tool between them is neither's."""
    replies = [ModelCall(ms(at) or 0, ms(at), realtime=True) for at in (300, 1400)]
    audio = VoiceCall(ms(1410) or 0, None, ms(1420), 50 * MS, ((0, ms(1420) or 0),), llm=True)
    latency = measure(
        UserSide(vad_ended=ms(200), final_transcript=ms(900), ended_by_model=True),
        reply(
            created=250,
            playing=1430,
            models=replies,
            voices=[audio],
            tools=[ToolRun("look", ms(310) or 0, ms(1000))],
        ),
        begun=(ms(0) or 0, "audio"),
    )
    assert latency is not None
    assert [(name, us / 1000) for name, us in latency.stages] == [
        ("vad", 200),
        ("realtime_response", 100),
        ("llm_tool_call", 10),
        ("tool:look", 690),
        ("realtime_response", 400),
        ("realtime_ttfb", 20),
        ("playback", 10),
        ("leading_silence", 50),
    ]


def test_a_realtime_reply_waits_for_the_speech_before_it():
    """LiveKit asks for one when that is over; one that the model makes by itself is there before,
    and not listened to until then."""
    audio = VoiceCall(ms(710) or 0, None, ms(720), 0, ((0, ms(720) or 0),), llm=True)
    for made, expected in (
        (700, [("previous_speech", 400), ("realtime_response", 100)]),
        (450, [("realtime_response", 250), ("previous_speech", 150)]),
    ):
        latency = measure(
            UserSide(vad_ended=ms(200)),
            reply(
                created=210,
                playing=720,
                previous_ended=ms(600),
                models=[ModelCall(ms(made) or 0, ms(made), realtime=True)],
                voices=[audio],
            ),
            begun=(ms(0) or 0, "audio"),
        )
        assert latency is not None
        found = [(name, us / 1000) for name, us in latency.stages]
        assert found[: len(expected) + 1] == [("vad", 200), *expected]


def test_words_that_come_after_the_turn_was_taken_are_not_waited_for():
    latency = measure(
        UserSide(vad_ended=ms(200), final_transcript=ms(900), committed=ms(300)),
        reply(created=300, playing=1000, models=[model(310, 400)], voices=[voice(410, 420, 990)]),
        begun=(ms(0) or 0, "audio"),
    )
    assert latency is not None
    names = [name for name, _ in latency.stages]
    assert "transcript" not in names
    assert names[:2] == ["vad", "endpointing"]
