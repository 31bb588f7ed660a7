"""What is sent of a span: pure functions from a row of the journal to JSON text.

The journal has JSON text already, redacted and bounded. Most of it is sent as it is: bodies are put
together from text, and nothing is decoded that does not change."""

from __future__ import annotations

from typing import NamedTuple

from pydantic_core import from_json, to_json

from ...core.bounds import PAYLOAD_LIMIT, bounded, bounded_object
from ...core.clock import unix_us_to_rfc3339
from ...core.json import JSON, without_none
from ...core.values import mapping
from ...journal import columns
from ...journal.todo import SpanState, Todo
from .marks import Marks
from .statuses import status_sent

Streams = dict[str, list[str]]

REQUESTS = frozenset(["livekit:llm", "livekit:realtime"])
"""The types that Prefactor's dashboard may take for a request to a model: it looks for tokens."""

INSTRUCTIONS = "livekit:session payload.instructions"
"""What stands in the place of the session's instructions in a request to a model."""
STREAM_LIMIT = 65_536
"""Characters of JSON that the chunks of one span may take; the journal keeps all of them."""
_NO_STREAMS: Streams = {}
_MARKED = ',"sensitive_encoding":true}'
"""How the fields of a span end that has marks on its values."""


class Body(NamedTuple):
    """One request about one span, to be sent by itself or in bulk."""

    todo: Todo
    key: str
    """The idempotency key: the same from every process that makes this request."""
    ends: bool
    """Once Prefactor acknowledges it, nothing is left to do for the span."""
    remote_id: str | None
    """The span's id at Prefactor; ``None`` in a create where Prefactor makes the id."""
    fields: str
    """A JSON object."""

    @property
    def finishes(self) -> bool:
        return self.todo.state == SpanState.OPEN

    @property
    def marked(self) -> bool:
        """Values in it are marked as sensitive."""
        return self.fields.endswith(_MARKED)

    @property
    def bulk_item(self) -> str:
        if self.finishes:
            # The fields stand beside the id: inside "details" Prefactor accepts and ignores them.
            return (
                f'{{"_type":"agent_spans/finish","idempotency_key":"{self.key}",'
                f'"agent_span_id":"{self.remote_id}",{self.fields[1:]}'
            )
        return (
            f'{{"_type":"agent_spans/create","idempotency_key":"{self.key}",'
            f'"details":{self.fields}}}'
        )

    @property
    def path(self) -> str:
        if self.finishes:
            return f"/api/v1/agent_spans/{self.remote_id}/finish"
        return "/api/v1/agent_spans"

    @property
    def single(self) -> str:
        keyed = f'{{"idempotency_key":"{self.key}",{self.fields[1:]}'
        return keyed if self.finishes else f'{{"details":{keyed}}}'


def finish(
    todo: Todo,
    remote_id: str,
    streams: Streams,
    limit: int = PAYLOAD_LIMIT,
    *,
    reported: bool = False,
    marks: Marks | None = None,
) -> Body:
    """The end of a span that is open at Prefactor.

    Args:
        reported: As of :func:`.statuses.status_sent`.
        marks: To be put on its values.

    Raises:
        ValueError: The row is damaged: this program did not write it so.
    """
    assert todo.finished_us is not None
    shown = marks.on(todo) if marks is not None else todo
    outcome = _object(shown.result or "{}") if streams else {}
    result = _result(shown, outcome, streams, limit, marks)
    fields = (
        f'{{"status":"{status_sent(todo, reported=reported)}","result_payload":{result},'
        f'"timestamp":"{unix_us_to_rfc3339(todo.finished_us)}"'
    )
    return Body(todo, f"{todo.id}-end", True, remote_id, _closed(fields, marks))


def create(
    todo: Todo,
    instance_id: str,
    schema_name: str,
    remote_id: str | None,
    parent_id: str | None,
    streams: Streams = _NO_STREAMS,
    limit: int = PAYLOAD_LIMIT,
    *,
    reported: bool = False,
    instructions: str | None = None,
    marks: Marks | None = None,
) -> Body:
    """A span as it is now: with its end, if it has one.

    Args:
        reported: As of :func:`.statuses.status_sent`.
        instructions: Those that the session's span says.
        marks: To be put on its values.

    Raises:
        ValueError: As :func:`finish`.
    """
    shown = marks.on(todo) if marks is not None else todo
    ended = todo.status != "active"
    status = status_sent(todo, reported=reported)
    # Prefactor's dashboard reads tokens and errors from the payload. A span that is sent while it
    # is open cannot have them there; the result has them in any case.
    in_payload = (
        todo.state == SpanState.NEW and ended and (todo.type in REQUESTS or status == "failed")
    )
    outcome = _object(shown.result or "{}") if in_payload or streams else {}
    if in_payload:
        failed = status == "failed"
        # As it stands in a request.
        said = marks.payload(instructions) if marks is not None else instructions
        payload = _payload_with(outcome, shown, limit, said, failed=failed)
    else:
        payload = _kept(shown.payload, limit)
    result = _result(shown, outcome, streams, limit, marks)
    fields = (
        f'{{"agent_instance_id":"{instance_id}","schema_name":{_text(schema_name)},'
        f'"status":"{status}","payload":{payload},'
        f'"started_at":"{unix_us_to_rfc3339(todo.started_us)}"'
    )
    if ended:
        assert todo.finished_us is not None
        fields += (
            f',"result_payload":{result},"finished_at":"{unix_us_to_rfc3339(todo.finished_us)}"'
        )
    if remote_id is not None:
        fields += f',"id":"{remote_id}"'
    if parent_id is not None:
        fields += f',"parent_span_id":"{parent_id}"'
    key = f"{todo.id}-whole" if ended else f"{todo.id}-open"
    return Body(todo, key, ended, remote_id, _closed(fields, marks))


def _closed(fields: str, marks: Marks | None) -> str:
    return fields + (_MARKED if marks is not None and '{"$sensitive":' in fields else "}")


def again(
    body: Body, streams: Streams, limit: int, instructions: str | None, marks: Marks | None
) -> Body:
    """The same step of a span in another form: cut to ``limit``, or with other marks."""
    todo, old = body.todo._replace(sent=None), from_json(body.fields)
    reported = old["status"] == "complete"
    if body.finishes:
        assert body.remote_id is not None
        return finish(todo, body.remote_id, streams, limit, reported=reported, marks=marks)
    return create(
        todo,
        old["agent_instance_id"],
        old["schema_name"],
        old.get("id"),
        old.get("parent_span_id"),
        streams,
        limit,
        reported=reported,
        instructions=instructions,
        marks=marks,
    )


def repeated(todo: Todo) -> Body:
    """The create of an open span that may have arrived, word for word as it was sent; the span may
    have ended since.

    Raises:
        ValueError: As :func:`finish`.
    """
    assert todo.sent is not None
    sent = from_json(todo.sent)
    if not isinstance(sent, dict):
        raise ValueError("what was sent is no object")
    return Body(todo, f"{todo.id}-open", False, sent.get("id"), todo.sent)


def _payload_with(
    outcome: JSON, todo: Todo, limit: int, instructions: str | JSON | None, *, failed: bool
) -> str:
    """The payload, with what Prefactor's readers look for in it of the outcome."""
    known = _object(todo.payload)
    added: JSON = {}
    if todo.type in REQUESTS:
        if instructions:
            known = _referring(known, instructions)
        added |= _request(known, outcome)
    if failed and isinstance(error := outcome.get("error"), dict) and "error" not in known:
        added["error"] = error
    return bounded_object({**known, **added}, limit) if added else _kept(todo.payload, limit)


def _referring(known: JSON, instructions: str | JSON) -> JSON:
    """The payload of a request to a model, of which a message that is only the instructions says
    where they are: they are in every request of a call again."""
    inputs = mapping(known.get("inputs"))
    messages = inputs.get("messages")
    if not isinstance(messages, list):
        return known
    referring = [
        {"role": "system", "same_as": INSTRUCTIONS}
        if one == {"role": "system", "content": instructions}
        else one
        for one in messages
    ]
    return {**known, "inputs": {**inputs, "messages": referring}}


def _request(known: JSON, outcome: JSON) -> JSON:
    """Of a request to a model: tokens and model, where the dashboard's view of costs reads them,
    and the keys that ``prefactor-livekit`` sends. A request of which nothing was counted has its
    ``token_usage`` without a number: without the key it would be no request."""
    added: JSON = {"token_usage": mapping(outcome.get("token_usage"))}
    named, provider = known.get("model_name"), known.get("provider")
    inputs = mapping(known.get("inputs"))
    if isinstance(named, str) and "ai" not in inputs:
        added["inputs"] = {**inputs, "ai": {"model": {"id": named}}}
    if isinstance(reason := outcome.get("finish_reason"), str):
        ai = {"ai": {"finishReason": reason}}
        added["outputs"] = {**mapping(known.get("outputs")), **ai}
    if "request_id" not in known and (request_id := outcome.get("request_id")):
        added["request_id"] = request_id
    model = {"model_name": named, "model_provider": provider}
    metadata = {**without_none(model), **mapping(known.get("metadata"))}
    return {**added, "metadata": metadata} if metadata else added


def _result(todo: Todo, outcome: JSON, streams: Streams, limit: int, marks: Marks | None) -> str:
    """The result, with what passed through the span's streams."""
    if f"{todo.type}:".startswith("livekit:tool:"):
        return _tool_result(todo, limit)
    if not streams:
        return _kept(todo.result or "{}", limit)
    # The user may have redacted anything in them.
    summaries = dict(mapping(outcome.get("streams")))
    share = STREAM_LIMIT // max(1, len(streams))
    for name, parts in streams.items():
        rows = limited(parts, share)
        if marks is not None:
            rows = marks.result({"streams": {name: rows}})["streams"][name]
        summaries[name] = {**mapping(summaries.get(name)), **rows}
    return bounded_object({**outcome, "streams": summaries}, limit)


def _tool_result(todo: Todo, limit: int) -> str:
    """The result of a tool, with its name where ``prefactor-livekit`` has it."""
    outcome, name = _object(todo.result or "{}"), _object(todo.payload).get("tool_name")
    outputs = outcome.get("outputs")
    if not isinstance(outputs, dict) or not isinstance(name, str) or "name" in outputs:
        return _kept(todo.result or "{}", limit)
    return bounded_object({**outcome, "outputs": {"name": name, **outputs}}, limit)


def _kept(text: str, limit: int) -> str:
    """A text of the journal. The writer has bounded it: it can only be too long for a smaller
    limit, or through what was added to it when its process was gone."""
    return text if len(text) <= limit else bounded(text, limit)


def limited(parts: list[str], limit: int) -> JSON:
    """The chunk columns of one stream in the order of time, up to ``limit`` characters, and how
    many rows were left out.

    Raises:
        ValueError: They are damaged.
    """
    kept: list[JSON] = []
    omitted = used = 0
    for text in parts:
        part = columns.read(text)
        rows, room = len(part["offset_us"]), limit - used
        take = rows if len(text) <= room else max(0, rows * room // len(text))
        omitted += rows - take
        used += len(text) if take == rows else limit
        if take == rows:
            kept.append(part)
        elif take:
            kept.append({name: values[:take] for name, values in part.items()})
    whole = columns.joined(kept)
    return {**whole, "rows_omitted": omitted} if omitted else whole


def _object(text: str) -> JSON:
    value = from_json(text)
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} in the place of an object")
    return value


def _text(value: str) -> str:
    return to_json(value).decode()
