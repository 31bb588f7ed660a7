"""A call as a regression test: what the caller said, played to the agent as it is now.

`call.json` is the demo's call. It was written with `prefactor-agent export last --format replay -o
samples/tests/call.json`; a call from production is no different. STT, LLM and TTS answer as they
did then, so the test needs no key, no network and no audio device.
"""

from pathlib import Path

import pytest
from livekit.agents import AgentSession, TurnHandlingOptions

from prefactor_agent.demo.shop import ORDERS, ShopAssistant
from prefactor_agent.testing import Replay, ReplayMismatch, Trace, replay

CALL = Path(__file__).with_name("call.json")


def session_of(call: Replay) -> AgentSession[None]:
    """The session of the demo, with the recorded models."""
    return AgentSession(
        stt=call.stt,
        llm=call.llm,
        tts=call.tts,
        vad=call.vad,
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
        # Three seconds of speech without interruptions would be half of a call at four times speed.
        aec_warmup_duration=None,
    )


async def test_the_call_goes_as_it_went(prefactor_trace: Trace) -> None:
    call = replay(CALL, speed=4)
    await call.run(session_of(call), ShopAssistant())

    greeting, where, kettle, cancel, back, goodbye = prefactor_trace.turns
    assert greeting.assistant.text == "Kitchen shop, hello. How can I help?"
    assert where.user.text == "Where is my order number forty two?"
    assert where.tools["look_up_order"].input == {"order_id": "42"}
    assert "arrives on Friday" in where.assistant.text
    assert set(kettle.tools.names) == {"check_stock", "store_hours"}
    assert cancel.tools["cancel_order"].outcome == "tool_error"
    assert back.assistant.interrupted
    assert goodbye.assistant.text == "You are welcome. Goodbye!"


async def test_a_changed_tool_is_found(
    prefactor_trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order system says something else now; the recorded answer would be wrong."""
    monkeypatch.setitem(ORDERS, "42", "is still with us")
    call = replay(CALL, speed=4)
    with pytest.raises(ReplayMismatch, match="look_up_order gave “Order 42 is still with us"):
        await call.run(session_of(call), ShopAssistant())
