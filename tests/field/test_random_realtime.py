"""Of random calls to agents with a realtime model, the trace has each silence that was heard, and
no other; each stage is true, the words are there, and the call is the one that it is without us."""

from __future__ import annotations

import pytest

from field.checks import check_call
from field.desk import HOOK_SECONDS
from field.random_realtime import PUSHED_AFTER, Plan, call, plan
from prefactor_agent.testing import Trace
from prefactor_agent.tracing import tracer
from support import virtual_time
from support.tree import Recorder, check

SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_call(seed: int) -> None:
    made, sink = plan(seed), Recorder()
    with tracer.sending_to(sink):
        truth = virtual_time.run(call(made), look=1e-6)
        check(sink)
        spans = Trace(sink).calls[0].spans
    check_call([*spans], truth, limits(made), all_awaited=made.hook != "declines")


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_a_random_call_is_what_it_is_without_us(seed: int) -> None:
    made = plan(seed)
    traced, plain = (virtual_time.run(call(made, traced=which)) for which in (True, False))
    assert traced == plain


def limits(made: Plan) -> dict[str, float]:
    # With replies that the model makes by itself more than one can wait to be heard.
    found = {"realtime_ttfb": 0.05} if not made.capabilities["auto_tool_reply_generation"] else {}
    return {
        **found,
        "vad": made.end,
        "transcript": 0.1 + made.heard_after,
        "endpointing": PUSHED_AFTER + 0.1,
        "on_user_turn_completed": HOOK_SECONDS,
        # LiveKit asks for a reply when its VAD has found silence, too.
        "realtime_response": made.thinks + (made.end if made.also_vad else 0.0),
        "first_sentence": 0.0,
        "tts_ttfb": made.first_byte,
        "playback": 0.0,
        "leading_silence": made.leads,
        "unattributed": 0.0,
    }
