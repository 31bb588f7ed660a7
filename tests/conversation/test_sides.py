"""When the user was done and the agent was heard, and what that is based on."""

from __future__ import annotations

from conversation.turns import MS, asked, model, ms, reply, voice
from prefactor_agent.conversation import UserSide, measure


def test_a_turn_stopped_within_its_leading_silence_was_not_heard():
    stopped = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)], played_ns=100 * MS)
    assert measure(asked(), stopped) is None
    heard = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)], played_ns=400 * MS)
    assert measure(asked(), heard) is not None


def test_a_turn_that_the_user_resumed_has_no_latency_before_it_is_heard():
    stopped = reply(playing=None, silent=True, models=[model(670, 1000)])
    assert measure(asked(), stopped) is None


def test_the_next_best_moments_are_named():
    no_levels = UserSide(vad_estimate=ms(20), vad_ended=ms(500), committed=ms(650))
    spoken = reply(models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)])
    latency = measure(no_levels, spoken)
    assert latency is not None
    assert (latency.since, latency.perceived_us) == ("vad", 1_530_000)
    assert measure(UserSide(vad_ended=ms(500)), spoken).since == "vad_end"  # type: ignore[union-attr]
    assert measure(UserSide(final_transcript=ms(500)), spoken).since == "transcript"  # type: ignore[union-attr]
    assert measure(UserSide(committed=ms(500)), spoken).since == "commit"  # type: ignore[union-attr]
    assert measure(UserSide(), spoken) is None

    ready_made = measure(asked(), reply(created=700, playing=720))
    assert ready_made is not None
    assert (ready_made.until, ready_made.perceived_us) == ("playback", 720_000)
    untold = measure(
        asked(), reply(playing=None, models=[model(670, 1000)], voices=[voice(1001, 1100, 1390)])
    )
    assert untold is not None
    assert (untold.until, untold.perceived_us) == ("first_frame", 1_540_000)


def test_noise_that_goes_on_after_the_voice_is_not_the_user():
    noisy = UserSide(
        heard_until=ms(640), vad_estimate=ms(100), vad_ended=ms(500), committed=ms(650)
    )
    assert noisy.end() == (ms(100), "vad")
    quiet = UserSide(heard_until=ms(0), vad_estimate=ms(100), vad_ended=ms(500), committed=ms(650))
    assert quiet.end() == (ms(0), "audio")
