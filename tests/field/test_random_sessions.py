"""Of random calls to agents as users write them, the trace has each silence that was heard, and no
other, to 50 ms; what it was spent on takes no longer than the call's script says; it has the words
that were said and heard; and the call is the one that it is without us."""

from __future__ import annotations

import pytest

from field.checks import check_call
from field.desk import HOOK_SECONDS
from field.random_sessions import Plan, call, plan
from field.truth import Truth
from prefactor_agent.testing import Trace
from prefactor_agent.tracing import tracer
from prefactor_agent.view.model.calltree import CallTree, build
from prefactor_agent.view.model.turns import not_taken, user_text
from prefactor_agent.view.model.unanswered import unanswered_of
from support import virtual_time
from support.tree import Recorder, check

SEEDS = range(40)
WAITED, OUTLASTED = 2.5, 6.0
"""Seconds after which a reply without words is over, and those that the line stays open for."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_call(seed: int) -> None:
    made, sink = plan(seed), Recorder()
    with tracer.sending_to(sink):
        truth = virtual_time.run(call(made), look=1e-6)
        check(sink)
        spans = Trace(sink).calls[0].spans
    # Nobody waits for an answer to some of those that the hook declines.
    check_call([*spans], truth, limits(made), all_awaited=made.hook != "declines")
    check_unanswered(made, truth, build([*spans]))


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_a_random_call_is_what_it_is_without_us(seed: int) -> None:
    made = plan(seed)
    traced, plain = (virtual_time.run(call(made, traced=which)) for which in (True, False))
    assert traced == plain


def limits(made: Plan) -> dict[str, float]:
    return {
        "vad": made.vad,
        "transcript": 0.1,
        "endpointing": 0.8,
        "on_user_turn_completed": HOOK_SECONDS,
        "llm_queue": 0.0,
        "llm_ttft": made.thinks,
        "llm_tool_call": 0.0,
        "first_sentence": 0.0,
        "tts_ttfb": made.first_byte,
        "playback": 0.0,
        "leading_silence": made.leads,
        "unattributed": 0.0,
    }


def check_unanswered(made: Plan, truth: Truth, tree: CallTree) -> None:
    """After a question that counts as unanswered nobody was heard; and where LiveKit took it, the
    model had no words, nor anybody else, and the caller waited, it counts."""
    found = unanswered_of(tree)
    assert found is not None
    named = [user_text(turn.user) for turn in tree.turns if turn.user and found.has(turn)]
    taken = [user_text(turn.user) for turn in tree.turns if turn.user and not not_taken(turn.user)]
    assert found.count == len(named)
    ends = [*(one.began for one in truth.caller[1:]), truth.caller[-1].ended + OUTLASTED]
    for one, until in zip(truth.caller, ends, strict=True):
        until = min([until, *(other.began for other in truth.typed if other.began > one.began)])
        heard = any(one.ended < sound < until for sound in truth.agent)
        counts = any(one.words in words for words in named)
        assert not (counts and heard), one
        undisturbed = made.hook in ("", "waits") and not made.says
        empty = one.words.endswith("emptily") and any(one.words in words for words in taken)
        if empty and undisturbed and until - one.ended >= WAITED:
            assert counts or heard, one
