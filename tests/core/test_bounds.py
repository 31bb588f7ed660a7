from __future__ import annotations

import json

from prefactor_agent.core.bounds import PAYLOAD_LIMIT, bounded, bounded_object


def test_a_payload_is_bounded_and_says_so() -> None:
    small = '{"a":"b"}'
    assert bounded(small) is small
    one = bounded(json.dumps({"name": "x", "text": "y" * 5_000_000}))
    assert len(one) <= PAYLOAD_LIMIT
    value = json.loads(one)
    assert value["name"] == "x"
    assert value["truncated"] is True
    assert value["original_size"] > 5_000_000
    assert value["text"].endswith("more characters]")
    assert bounded(one) == one, "what was cut for the journal is not cut again for Prefactor"
    smaller = json.loads(bounded(one, 20_000))
    assert smaller["text"] == "y" * 16_384 + f"… [{5_000_000 - 16_384} more characters]"
    assert smaller["original_size"] == json.loads(one)["original_size"]
    many = json.loads(bounded(json.dumps({"name": "x", "rows": list(range(1_000_000))})))
    assert many["truncated"] is True
    assert many["name"] == "x"
    keys = bounded(json.dumps({f"key{n}": n for n in range(200_000)}))
    assert len(keys) <= PAYLOAD_LIMIT
    assert json.loads(keys)["truncated"] is True


def test_an_object_is_bounded_as_its_text_is() -> None:
    for value in ({"a": "b"}, {"text": "y" * 300_000, "rows": [[1, "ab"]] * 50_000}):
        text = json.dumps(value, separators=(",", ":"))
        assert bounded_object(value) == bounded(text)
        assert bounded_object(value, 20_000) == bounded(text, 20_000)
