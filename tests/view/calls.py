"""Calls written by hand, with round numbers, so that a test can say in which column a bar begins.

Times are milliseconds after the beginning of the call."""

from __future__ import annotations

from typing import Any

from prefactor_agent.stored.span import StoredSpan

ZERO_US = 1_795_242_672_000_000
SESSION = "01m7yctfytk4y4mq7hx2eescvvtttk2w"


def us(ms: float) -> int:
    return ZERO_US + round(ms * 1000)


def span(
    id_: str,
    type_: str,
    begun: float,
    ended: float | None,
    parent: str | None = SESSION,
    *,
    name: str = "",
    status: str | None = None,
    payload: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
) -> StoredSpan:
    return StoredSpan(
        id=id_,
        session_id=SESSION,
        parent_id=parent,
        type=f"livekit:{type_}",
        name=name or type_.split(":")[-1],
        status=status or ("active" if ended is None else "complete"),
        started_us=us(begun),
        finished_us=None if ended is None else us(ended),
        payload=payload or {},
        result=result or {},
    )


def session(ended: float | None = 10_000, **result: Any) -> StoredSpan:
    told = {"close_reason": "user_initiated", **result} if ended is not None else {}
    return span(
        SESSION,
        "session",
        0,
        ended,
        None,
        payload={"agent_class": "Concierge", "room": {"name": "lobby"}},
        result=told,
    )


def moments(**at_ms: float) -> dict[str, int]:
    return {name: round(ms * 1000) for name, ms in at_ms.items()}


def text_stream(*chunks: tuple[float, str]) -> dict[str, Any]:
    offsets = [round(ms * 1000) for ms, _ in chunks]
    return {
        "kind": "text",
        "count": len(chunks),
        "first_us": offsets[0],
        "last_us": offsets[-1],
        "offset_us": offsets,
        "size": [len(text) for _, text in chunks],
        "text": [text for _, text in chunks],
    }


def audio_stream(first_ms: float, seconds: float, dbfs: int = -20) -> dict[str, Any]:
    """Frames of 100 ms that arrive at once."""
    frames = round(seconds * 10)
    first = round(first_ms * 1000)
    return {
        "kind": "audio",
        "count": frames,
        "first_us": first,
        "sample_rate": 24_000,
        "offset_us": [first] * frames,
        "size": [2_400] * frames,
        "dbfs": [dbfs] * frames,
    }


def spoken_call() -> list[StoredSpan]:
    """One question that needs a slow tool. The user speaks from 1.0 to 2.0 s; VAD 2.4, transcript
    2.5, committed 2.6, LLM 2.6 (token 3.0) to 3.0, tool 3.0 to 4.0, LLM 4.0 (token 4.2) to 4.4, TTS
    text 4.2, byte 4.4, to 4.8, heard from 4.4 to 6.4, where the user cuts in."""
    user_moments = moments(
        speech_started=1000,
        speech_ended=2000,
        vad_ended=2400,
        final_transcript=2500,
        committed=2600,
    )
    return [
        session(),
        span(
            "u1",
            "user_turn",
            1000,
            2600,
            payload={"modality": "audio"},
            result={"transcript": "Where is order 42?", "moments_us": user_moments},
        ),
        span("s1", "stt", 1000, 2500, "u1", result={"transcript": "Where is order 42?"}),
        span(
            "a1",
            "assistant_turn",
            2600,
            6400,
            payload={"source": "generate_reply", "user_initiated": False},
            result={
                "user_turn_id": "u1",
                "generated_text": "It ships on Friday. Anything else?",
                "spoken_text": "It ships on Friday.",
                "interrupted": True,
                "interrupted_by": "user",
                "playback_position_s": 2.0,
                "segments": [
                    {
                        "started_us": 4_400_000,
                        "finished_us": 6_400_000,
                        "position_s": 2.0,
                        "interrupted": True,
                    }
                ],
                "moments_us": moments(created=2600, playback_started=4400),
            },
        ),
        span(
            "l1",
            "llm",
            2600,
            3000,
            "a1",
            result={
                "text": "",
                "tool_calls": [{"name": "look_up"}],
                "streams": {"output": text_stream((400, ""))},
            },
        ),
        span(
            "t1",
            "tool:look_up",
            3000,
            4000,
            "a1",
            payload={"inputs": {"order": "42"}},
            result={"outcome": "returned", "outputs": {"output": "Friday"}},
        ),
        span("r1", "tool_result", 4000, 4000, "t1", name="look_up"),
        span(
            "l2",
            "llm",
            4000,
            4400,
            "a1",
            result={
                "text": "It ships on Friday. Anything else?",
                "streams": {"output": text_stream((200, "It ships"), (390, " on Friday."))},
            },
        ),
        span(
            "p1",
            "tts",
            4000,
            4800,
            "a1",
            result={
                "leading_silence_ms": 0,
                "streams": {
                    "text": text_stream((200, "It ships on Friday.")),
                    "audio": audio_stream(400, 2.4),
                },
            },
        ),
    ]


def over_budget_call() -> list[StoredSpan]:
    """The spoken call with a recorded latency, and budgets that two things in it are over."""
    spans = spoken_call()
    spans[0].payload["budgets"] = {"perceived": 1.5, "tool:look_up": 0.5, "llm_ttft": 0.6}
    spans[3].result["latency"] = {
        "perceived_ms": 2400.0,
        "stages": [
            {"name": "vad", "ms": 600.0},
            {"name": "llm_ttft", "ms": 400.0},
            {"name": "tool:look_up", "ms": 1000.0},
            {"name": "llm_ttft_2", "ms": 400.0},
        ],
        "basis": {"from": "audio", "to": "audio"},
        "over_budget": {"perceived": 2.4, "tool:look_up": 1.0},
    }
    return spans


def unanswered_call() -> list[StoredSpan]:
    """A process that was killed while the agent answered: nothing after the question has ended."""
    question = spoken_call()[1:3]
    return [
        session(None),
        *question,
        span(
            "a1",
            "assistant_turn",
            2600,
            None,
            payload={"source": "generate_reply", "user_initiated": False},
        ),
        span(
            "l1",
            "llm",
            2600,
            None,
            "a1",
            result={"streams": {"output": {"offset_us": [400_000], "size": [2], "text": ["It"]}}},
        ),
    ]


def answer(
    id_: str,
    created: float,
    ended: float,
    parent: str = SESSION,
    *,
    heard: float | None = None,
    **result: Any,
) -> StoredSpan:
    """An answer that is played from ``heard`` (100 ms after it was made) until it ends."""
    begun = created + 100 if heard is None else heard
    segment = {
        "started_us": round(begun * 1000),
        "finished_us": round(ended * 1000),
        "position_s": (ended - begun) / 1000,
    }
    told = {"generated_text": result.get("spoken_text", ""), "segments": [segment], **result}
    told["moments_us"] = moments(created=created, playback_started=begun)
    return span(id_, "assistant_turn", created, ended, parent, result=told)


def question(id_: str, begun: float, ended: float, text: str, parent: str = SESSION) -> StoredSpan:
    told = moments(speech_started=begun, speech_ended=ended - 200, committed=ended)
    return span(
        id_,
        "user_turn",
        begun,
        ended,
        parent,
        payload={"modality": "audio"},
        result={"transcript": text, "moments_us": told},
    )


def task_call() -> list[StoredSpan]:
    """A tool that asks for an address by a task of its own: the agent is handed to it and back, and
    the dialogue in between lies below the tool. What the tool came to is answered at the end."""
    handoff = {"from": "clerk", "to": "address_task", "tool_name": "ask_address"}
    back = {"from": "address_task", "to": "clerk", "tool_name": "ask_address"}
    return [
        session(20_000),
        question("u1", 1000, 2000, "Send it to me."),
        answer("a1", 2000, 15_500, heard=12_400, user_turn_id="u1", spoken_text="On its way."),
        span("l1", "llm", 2000, 2300, "a1", result={"tool_calls": [{"name": "ask_address"}]}),
        span("t1", "tool:ask_address", 2300, 12_000, "a1", result={"outcome": "returned"}),
        span("h1", "handoff", 2300, 2350, "t1", payload={**handoff, "cause": "tool"}),
        answer("a2", 2400, 4000, "t1", spoken_text="Where to?"),
        question("u2", 5000, 7000, "Main street 1.", "t1"),
        answer("a3", 7000, 9000, "t1", user_turn_id="u2", spoken_text="Thank you."),
        span("h2", "handoff", 11_900, 11_950, "t1", payload={**back, "cause": "task_completed"}),
    ]


def searching_call() -> list[StoredSpan]:
    """The LLM's provider searches the web for the answer: told of when it was over."""
    search = {"tool_name": "web_search", "run_by": "provider", "inputs": {"queries": ["weather"]}}
    return [
        session(8000),
        question("u1", 1000, 2000, "How is the weather?"),
        answer("a1", 2000, 5000, heard=3000, user_turn_id="u1", spoken_text="It is sunny."),
        span("l1", "llm", 2000, 2900, "a1"),
        span(
            "t1",
            "tool",
            2900,
            2900,
            "l1",
            name="web_search",
            payload=search,
            result={"outcome": "returned"},
        ),
    ]


def realtime_call() -> list[StoredSpan]:
    """A realtime model: no STT, LLM and TTS; its audio, the text beside it, an untraced tool."""
    audio = {"streams": {"audio": audio_stream(300, 1.5)}, "leading_silence_ms": 100}
    words = {"streams": {"text": text_stream((350, "It is "), (400, "sunny."))}}
    tool = {"tool_name": "weather", "from_events": True, "inputs": {"city": "Oslo"}}
    return [
        session(8000),
        question("u1", 1000, 2000, "How is the weather?"),
        answer("a1", 2000, 5000, user_turn_id="u1", spoken_text="It is sunny."),
        span("r1", "realtime", 2000, 4000, "a1", result=audio),
        span("x1", "transcription", 2000, 4000, "a1", result=words),
        span(
            "t1",
            "tool",
            2050,
            2150,
            "a1",
            name="weather",
            payload=tool,
            result={"outcome": "returned", "outputs": {"output": "sunny"}},
        ),
        span(
            "s1",
            "state",
            900,
            900,
            name="user_state",
            payload={"actor": "user", "new_state": "speaking"},
        ),
        span(
            "s2",
            "state",
            1800,
            1800,
            name="user_state",
            payload={"actor": "user", "new_state": "listening"},
        ),
        span(
            "h1", "handoff", 6000, 6000, payload={"from": "clerk", "to": "boss", "cause": "program"}
        ),
    ]
