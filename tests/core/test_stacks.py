from __future__ import annotations

import gc
import re
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import ToolError

from prefactor_agent.core import stacks
from prefactor_agent.core.stacks import FRAMES, stack_of
from prefactor_agent.demo.shop import ShopAssistant

HERE = "core/test_stacks.py"


def raised(function: Any) -> BaseException:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def at(line: int, function: str) -> str:
    return f"{HERE}:{line} in {function}"


class Shop:
    def price(self, name: str) -> int:
        return {"tea": 3}[name]


def test_the_innermost_frame_is_last_with_file_line_and_function() -> None:
    error = raised(lambda: Shop().price("coffee"))
    first = raised.__code__.co_firstlineno
    here = sys._getframe().f_code
    assert (stack_of(error) or "").splitlines() == [
        at(first + 2, "raised"),
        at(here.co_firstlineno + 1, f"{here.co_qualname}.<locals>.<lambda>"),
        at(Shop.price.__code__.co_firstlineno + 1, "Shop.price"),
    ]


def test_there_are_no_values_and_no_lines_of_source() -> None:
    secret = "4111 1111 1111 1111"

    def charge(card: str) -> None:
        raise ConnectionError(f"the bank refuses {card}")

    stack = stack_of(raised(lambda: charge(secret)))
    assert stack is not None
    assert "4111" not in stack
    assert "raise" not in stack.replace("raised", "")


def test_of_a_deep_stack_the_innermost_frames_are_kept() -> None:
    def dig(deep: int) -> None:
        if deep == 0:
            raise ValueError("the ground")
        dig(deep - 1)

    lines = (stack_of(raised(lambda: dig(200))) or "").splitlines()
    assert len(lines) == FRAMES
    first = dig.__code__.co_firstlineno
    assert lines[-1] == at(first + 2, dig.__qualname__)
    assert set(lines[:-1]) == {at(first + 3, dig.__qualname__)}


def test_what_was_never_raised_has_no_stack() -> None:
    assert stack_of(ValueError("made by hand")) is None


def test_the_frames_of_the_tracer_are_left_out() -> None:
    def fails() -> None:
        raise ValueError("no")

    code = compile("def ours(call):\n    call()\n", stacks.__file__, "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    stack = stack_of(raised(lambda: names["ours"](fails))) or ""
    assert "ours" not in stack
    assert stack.endswith(f"in {fails.__qualname__}")


def test_nothing_of_the_program_is_kept_alive() -> None:
    class Held:
        pass

    def fails() -> None:
        here = Held()
        gone.append(weakref.ref(here))
        raise ValueError("no")

    gone: list[weakref.ref[Held]] = []
    kept = [stack_of(raised(fails))]
    gc.collect()
    assert gone[0]() is None
    assert kept[0] is not None


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/app/venv/lib/site-packages/livekit/agents/llm.py", "livekit/agents/llm.py"),
        ("/app/agents/clerk.py", "agents/clerk.py"),
        ("/home/ann/secret/plans/agent.py", "plans/agent.py"),
        ("agent.py", "agent.py"),
        ("<string>", "<string>"),
    ],
)
def test_a_file_is_named_as_a_program_imports_it(
    path: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Any] = ["", "/app", Path("/app/venv/lib/site-packages")]
    monkeypatch.setattr(sys, "path", folders)
    stacks._shown.cache_clear()
    assert stacks._shown(path) == shown
    stacks._shown.cache_clear()


async def test_the_demos_agent_is_a_program_like_any_other() -> None:
    with pytest.raises(ToolError) as raised:
        await ShopAssistant().cancel_order("42")
    lines = (stack_of(raised.value) or "").splitlines()
    assert re.fullmatch(
        r"prefactor_agent/demo/shop\.py:\d+ in ShopAssistant\.cancel_order", lines[-1]
    )
    assert "prefactor_agent/tools.py" not in "".join(lines)
