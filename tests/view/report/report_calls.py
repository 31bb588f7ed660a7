"""Calls for the tests of the page: small ones by hand, and long ones of any size."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

from prefactor_agent.stored.span import StoredSpan

ORIGIN_US = 1_795_242_672_090_457
SESSION = "session"
HOSTILE = (
    '</script><script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">'
    "<!-- ]]> & &amp; {{ 7 * 7 }} {% raw %} ' \" ` "
    "\u2028\u2029 \u202eevil\u202c \u2066x \x00\x07\x1b[31m"
    "\x7f\x85\ufeff \u05d0\u05d1 \U0001f600 \ud800"
)

_WORDS = [
    "order",
    "kettle",
    "Friday",
    "shipped",
    "arrives",
    "cancel",
    "sorry",
    "please",
    "return",
    "money",
    "card",
    "week",
]


def span(
    type_: str,
    at_ms: float,
    ms: float | None,
    *,
    id: str,
    parent: str | None = SESSION,
    status: str = "complete",
    payload: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    name: str | None = None,
) -> StoredSpan:
    started = ORIGIN_US + round(at_ms * 1000)
    return StoredSpan(
        id=id,
        session_id=SESSION,
        parent_id=parent,
        type=type_,
        name=name or type_.rsplit(":", 1)[-1],
        status="active" if ms is None else status,
        started_us=started,
        finished_us=None if ms is None else started + round(ms * 1000),
        payload=payload or {},
        result=result or {},
    )


def session(ms: float | None = 12_000, **result: Any) -> StoredSpan:
    return span(
        "livekit:session",
        0,
        ms,
        id=SESSION,
        parent=None,
        payload={
            "agent_name": "shop_assistant",
            "room": {"name": "kitchen-7"},
            "participant": {"identity": "+49301234", "kind": "sip"},
            "models": {"llm": {"model_name": "gpt-4.1"}},
        },
        result={"close_reason": "participant_disconnected", **result} if ms is not None else {},
    )


def small(**changes: str) -> list[StoredSpan]:
    """A question, a tool, and an answer that the caller interrupts. ``changes`` are the texts of
    strangers: ``transcript``, ``generated``, ``spoken``, ``output``, ``room``, ``tool``."""
    said = changes.get("transcript", "Where is my order?")
    generated = changes.get("generated", "Order 42 has shipped. It arrives on Friday.")
    spoken = changes.get("spoken", "Order 42 has")
    output = changes.get("output", "shipped")
    tool = changes.get("tool", "look_up_order")
    tokens = [generated[i : i + 6] for i in range(0, len(generated), 6)]
    root = session()
    root.payload["room"]["name"] = changes.get("room", "kitchen-7")
    return [
        root,
        span(
            "livekit:user_turn",
            1000,
            2000,
            id="user1",
            payload={"turn_index": 1, "modality": "audio"},
            result={
                "transcript": said,
                "language": "en",
                "moments_us": {"speech_ended": 2_400_000},
            },
        ),
        span(
            "livekit:stt",
            1000,
            1900,
            id="stt1",
            parent="user1",
            result={
                "transcript": said,
                "streams": {
                    "audio": levels(70, 20_000, 320, 16_000, -20),
                    "events": {
                        "kind": "event",
                        "count": 1,
                        "offset_us": [1_900_000],
                        "size": [len(said)],
                        "event": [{"type": "final_transcript", "text": said}],
                    },
                },
            },
        ),
        span(
            "livekit:assistant_turn",
            3000,
            3500,
            id="agent1",
            payload={"turn_index": 2},
            result={
                "user_turn_id": "user1",
                "generated_text": generated,
                "spoken_text": spoken,
                "interrupted": True,
                "interrupted_by": "user",
                "playback_position_s": 1.25,
                "segments": [
                    {"started_us": 4_200_000, "finished_us": 6_400_000, "position_s": 1.25}
                ],
                "moments_us": {
                    "user_speech_ended": 2_400_000,
                    "user_vad_ended": 2_800_000,
                    "created": 3_000_000,
                    "user_committed": 3_000_000,
                    "playback_started": 4_200_000,
                },
            },
        ),
        span(
            "livekit:llm",
            3000,
            900,
            id="llm1",
            parent="agent1",
            payload={"inputs": {"messages": [{"role": "user", "content": said}]}},
            result={
                "text": generated,
                "streams": {
                    "output": {
                        "kind": "text",
                        "unit": "characters",
                        "count": len(tokens),
                        "total": len(generated),
                        "first_us": 300_000,
                        "offset_us": [300_000 + 60_000 * i for i in range(len(tokens))],
                        "size": [len(token) for token in tokens],
                        "text": tokens,
                    }
                },
            },
        ),
        span(
            f"livekit:tool:{tool}",
            3200,
            40,
            id="tool1",
            parent="agent1",
            name=tool,
            status="failed",
            payload={"tool_name": tool, "inputs": {"order": output}},
            result={
                "outcome": "tool_error",
                "is_error": True,
                "error": {
                    "error_type": "ToolError",
                    "message": output,
                    "stacktrace": f"agent.py:9 in {output}",
                },
            },
        ),
        span("livekit:tool_result", 3240, 0, id="toolresult1", parent="tool1", status="failed"),
        span(
            "livekit:tts",
            3400,
            700,
            id="tts1",
            parent="agent1",
            result={
                "text": generated,
                "leading_silence_ms": 170.0,
                "streams": {"audio": levels(30, 20_000, 2_400, 24_000, -18, first=200_000)},
            },
        ),
        span(
            "livekit:error",
            3300,
            0,
            id="error1",
            parent="llm1",
            status="failed",
            payload={"error_type": "APIError", "message": output, "recoverable": True},
        ),
    ]


def levels(
    count_: int, every_us: int, size: int, rate: int, dbfs: int, first: int = 0
) -> dict[str, Any]:
    return {
        "kind": "audio",
        "unit": "samples",
        "count": count_,
        "total": count_ * size,
        "sample_rate": rate,
        "seconds": count_ * size / rate,
        "first_us": first,
        "offset_us": [first + every_us * i for i in range(count_)],
        "size": [size] * count_,
        "dbfs": [dbfs - i % 9 for i in range(count_)],
    }


def long(turns: int, seconds: float, chunks: int) -> list[StoredSpan]:
    """A call of any length: pairs of turns with their spans, chunks shared out among them."""
    return sorted(_long(turns // 2, seconds * 1000, chunks), key=lambda made: made.started_us)


def _long(pairs: int, ms: float, chunks: int) -> Iterator[StoredSpan]:
    random_ = random.Random(1)
    numbers = count()

    def id_() -> str:
        letters = random_.choices("0123456789abcdefghjkmnpqrstvwxyz", k=20)
        return f"01m7{next(numbers):08d}" + "".join(letters)

    yield session(ms)
    each, per = ms / pairs, chunks // pairs
    heard, voiced, tokens = int(per * 0.55), int(per * 0.2), int(per * 0.15)
    shown = per - heard - voiced - tokens
    history: list[dict[str, str]] = []
    for index in range(pairs):
        at, speak, slow = index * each, each * 0.3, random_.lognormvariate(0, 0.35) * 600
        ended, created = at + speak, at + speak + 700
        started, plays = created + slow + 200, each * 0.25
        question = " ".join(random_.choices(_WORDS, k=12))
        parts = [word + " " for word in random_.choices(_WORDS, k=tokens)]
        answer = "".join(parts)
        history += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        user, agent = id_(), id_()
        yield span(
            "livekit:user_turn",
            at,
            speak + 700,
            id=user,
            payload={"turn_index": 2 * index + 1},
            result={"transcript": question, "moments_us": {"speech_ended": round(ended * 1000)}},
        )
        yield span(
            "livekit:stt",
            at,
            speak + 690,
            id=id_(),
            parent=user,
            result={
                "transcript": question,
                "streams": {
                    "audio": levels(
                        heard, round(speak * 1000 / heard), round(speak * 16 / heard), 16_000, -17
                    )
                },
            },
        )
        yield span(
            "livekit:assistant_turn",
            created,
            slow + 200 + plays,
            id=agent,
            payload={"turn_index": 2 * index + 2},
            result={
                "user_turn_id": user,
                "generated_text": answer,
                "spoken_text": answer,
                "interrupted": False,
                "segments": [{"started_us": round(started * 1000), "position_s": plays / 1000}],
                "moments_us": {
                    "user_speech_ended": round(ended * 1000),
                    "created": round(created * 1000),
                    "user_committed": round(created * 1000),
                    "playback_started": round(started * 1000),
                },
            },
        )
        steps = [round(slow * 500 + i * slow * 500 / tokens) for i in range(tokens)]
        text = {
            "kind": "text",
            "count": tokens,
            "offset_us": steps,
            "text": parts,
            "size": [len(part) for part in parts],
        }
        yield span(
            "livekit:llm",
            created,
            slow,
            id=id_(),
            parent=agent,
            payload={"model_name": "gpt-4.1", "inputs": {"messages": history[-20:]}},
            result={"text": answer, "streams": {"output": text}},
        )
        if index % 3 == 0:
            yield span(
                "livekit:tool:check_stock",
                created + slow / 3,
                3,
                id=id_(),
                parent=agent,
                payload={"tool_name": "check_stock", "inputs": {"item": "kettle", "n": index}},
                result={"outcome": "returned", "outputs": {"output": f"{index} are left."}},
            )
        yield span(
            "livekit:tts",
            created + slow / 2,
            slow / 2 + 400,
            id=id_(),
            parent=agent,
            result={
                "text": answer,
                "leading_silence_ms": 170.0,
                "streams": {
                    "audio": levels(voiced, 9_000, round(plays * 24 / voiced), 24_000, -18)
                },
            },
        )
        yield span(
            "livekit:transcription",
            created + slow / 2,
            slow,
            id=id_(),
            parent=agent,
            result={
                "text": answer,
                "streams": {
                    "text": {
                        "kind": "text",
                        "count": len(parts[:shown]),
                        "text": parts[:shown],
                        "offset_us": steps[:shown],
                        "size": [len(p) for p in parts[:shown]],
                    }
                },
            },
        )
