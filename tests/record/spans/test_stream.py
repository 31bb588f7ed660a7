"""Streams keep every chunk, within a bound, and their sums exactly."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import llm
from livekit.agents import stt as lk_stt

from prefactor_agent.record.spans import stream as streams
from prefactor_agent.record.spans.stream import AudioLevels, LLMOutput, SpeechEvents, Stream


def put(stream: Stream, chunks: list, spacing_ns: int = 1_000_000) -> None:
    """Chunks at regular offsets from the stream's start, beginning with one spacing."""
    for number, chunk in enumerate(chunks, 1):
        stream.times.append(stream.started_ns + number * spacing_ns)
        stream.items.append(chunk)


def test_text_chunks_are_kept_with_offset_size_and_text() -> None:
    stream = Stream(started_ns=5_000)
    put(stream, ["Hello", ", ", "world"])
    assert stream.take_rows() == {
        "offset_us": [1000, 2000, 3000],
        "size": [5, 2, 5],
        "text": ["Hello", ", ", "world"],
    }
    assert stream.take_rows(final=True) is None, "each chunk is given out once"
    summary = stream.summary()
    assert (summary["count"], summary["total"]) == (3, 12)
    assert (summary["first_us"], summary["last_us"], summary["longest_gap_us"]) == (
        1000,
        3000,
        1000,
    )
    assert (summary["smallest"], summary["largest"]) == (2, 5)
    assert "merged" not in summary


def chunk(text: str = "", *, tool: bool = False, usage: bool = False) -> llm.ChatChunk:
    calls = [llm.FunctionToolCall(name="look", arguments="{}", call_id="1")] if tool else []
    delta = llm.ChoiceDelta(role="assistant", content=text, tool_calls=calls)
    counted = llm.CompletionUsage(prompt_tokens=1, completion_tokens=0, total_tokens=1)
    return llm.ChatChunk(id="r", delta=delta, usage=counted if usage else None)


@pytest.mark.parametrize("absorbed", [False, True])
@pytest.mark.parametrize(
    ("chunks", "first"),
    [
        ([chunk(), chunk(), chunk("Hi"), chunk(" you")], 3),
        ([chunk(), chunk(tool=True), chunk(usage=True)], 2),
        (["", "Hi"], 2),
        ([chunk(), chunk(usage=True)], None),
        ([], None),
    ],
)
def test_the_first_token_is_the_first_chunk_with_text_or_a_tool_call(
    chunks: list, first: int | None, absorbed: bool
) -> None:
    output = LLMOutput(0)
    put(output, [output.extract(one) for one in chunks])
    if absorbed:
        output.absorb()
    assert output.first == (None if first is None else first * 1_000_000)
    put(output, ["more"])
    if first is not None:
        assert output.first == first * 1_000_000


def test_the_first_token_is_found_in_whichever_batch_it_was() -> None:
    output = LLMOutput(0)
    put(output, [chunk()])
    output.absorb()
    assert output.first is None
    output.times.append(7)
    output.items.append("Hi")
    assert output.first == 7
    output.absorb()
    assert output.first == 7


def test_nothing_is_said_of_a_stream_without_chunks() -> None:
    summary = Stream(0).summary()
    assert summary == {"kind": "text", "unit": "characters", "count": 0, "total": 0}


@given(st.lists(st.text(max_size=5), max_size=300))
def test_sums_are_exact_however_the_chunks_are_absorbed(texts: list[str]) -> None:
    at_once, in_steps = Stream(0), Stream(0)
    put(at_once, texts)
    for number, text in enumerate(texts, 1):
        in_steps.times.append(number * 1_000_000)
        in_steps.items.append(text)
        if number % 7 == 0:
            in_steps.absorb()
    at_once.absorb()
    in_steps.absorb()
    assert at_once.summary() == in_steps.summary()
    assert "".join(at_once.text) == "".join(in_steps.text) == "".join(texts)


def test_a_long_stream_is_merged_and_says_so() -> None:
    stream = Stream(0)
    count = 200_000
    rows = 0
    merged = 0
    text = 0
    for begin in range(0, count, 10_000):
        put_at = range(begin + 1, begin + 10_001)
        stream.times.extend(number * 1_000 for number in put_at)
        stream.items.extend("ab" for _ in put_at)
        taken = stream.take_rows(final=begin + 10_000 == count)
        if taken:
            rows += len(taken["size"])
            merged += sum(taken.get("n", [1] * len(taken["size"])))
            text += sum(taken["size"])
    assert rows < streams.DETAIL + 12 * streams.ROWS_PER_STEP
    assert merged == count, "every chunk is in some row"
    assert text == stream.total == 2 * count
    assert stream.summary()["merged"] is True
    assert stream.summary()["longest_gap_us"] == 1


def test_memory_is_bounded_when_nobody_takes_the_rows() -> None:
    def grown_by(count: int) -> int:
        stream = Stream(0)
        tracemalloc.start()
        for _ in range(count):
            stream.add("some text that is a little longer than a token")
        stream.absorb()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert grown_by(40_000) < 2 * grown_by(10_000) < 4_000_000


def test_text_past_the_limit_is_counted_but_not_kept() -> None:
    stream = Stream(0)
    put(stream, ["x" * 200_000] * 2)
    stream.absorb()
    assert len("".join(stream.text)) == streams.TEXT_LIMIT
    assert stream.total == 400_000
    assert stream.summary()["text_cut"] is True


def test_llm_output_gathers_text_calls_and_usage() -> None:
    usage = llm.CompletionUsage(completion_tokens=2, prompt_tokens=3, total_tokens=5)
    call = llm.FunctionToolCall(name="look", arguments="{}", call_id="c1")
    output = LLMOutput(0)
    put(
        output,
        [
            llm.ChatChunk(id="r1", delta=llm.ChoiceDelta(role="assistant", content="Hi")),
            " there",
            llm.ChatChunk(id="r1", delta=llm.ChoiceDelta(tool_calls=[call])),
            llm.ChatChunk(id="r1", usage=usage),
            object(),
        ],
    )
    rows = output.take_rows()
    assert rows is not None
    assert rows["text"] == ["Hi", " there", "", "", ""]
    assert output.tool_calls == [{"call_id": "c1", "name": "look", "arguments": "{}"}]
    assert output.usage is not None
    assert output.usage["total_tokens"] == 5
    assert output.request_id == "r1"


def test_speech_events_are_kept_with_their_text() -> None:
    def event(kind: lk_stt.SpeechEventType, text: str | None = None) -> lk_stt.SpeechEvent:
        data = [lk_stt.SpeechData(language="en", text=text)] if text is not None else []
        return lk_stt.SpeechEvent(type=kind, alternatives=data)

    events = SpeechEvents(0)
    put(
        events,
        [
            event(lk_stt.SpeechEventType.START_OF_SPEECH),
            event(lk_stt.SpeechEventType.INTERIM_TRANSCRIPT, "one"),
            event(lk_stt.SpeechEventType.FINAL_TRANSCRIPT, "one two"),
        ],
    )
    rows = events.take_rows()
    assert rows is not None
    assert rows["event"] == [
        {"type": "start_of_speech"},
        {"type": "interim_transcript", "text": "one"},
        {"type": "final_transcript", "text": "one two"},
    ]


@pytest.mark.parametrize("level", [0, -1, -127])
def test_audio_levels_are_unpacked(level: int) -> None:
    audio = AudioLevels(0)
    audio.sample_rate, audio.channels = 24_000, 1
    put(audio, [240 << 8 | -level, 480 << 8 | -level])
    assert audio.take_rows() == {
        "offset_us": [1000, 2000],
        "size": [240, 480],
        "dbfs": [level, level],
    }
    assert audio.seconds == pytest.approx(0.03)
    assert audio.summary()["loudest_dbfs"] == level
