"""``@traced_tool`` in every form that ``@function_tool`` has: the model sees the same tool, LiveKit
gets the same answer, and each call leaves its own spans."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    RunContext,
    StopResponse,
    ToolError,
    function_tool,
    llm,
)
from livekit.agents.llm import ToolContext
from livekit.agents.llm.tool_context import ToolFlag
from livekit.agents.voice.run_result import mock_tools
from pydantic import BaseModel, Field

from prefactor_agent import (
    ConfigurationError,
    TracedAgent,
    TracedAgentTask,
    tool_options,
    tools,
    traced_tool,
)
from prefactor_agent.core.guard import failures
from support.memory_sink import MemorySink
from support.scripted import ScriptedLLM, Use

NEW = "on_duplicate" in inspect.signature(function_tool).parameters
RAW = {
    "name": "raw_one",
    "description": "Raw.",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
}


@pytest.fixture(autouse=True)
def nothing_failed() -> Any:
    yield
    assert not failures


# What the model sees


async def documented(
    city: str,
    days: Annotated[int, Field(description="How many.", ge=1)] = 3,
    unit: str | None = None,
    *,
    context: RunContext[Any],
) -> str:
    """Look up the weather.

    Args:
        city: Where.
        unit: Celsius or Fahrenheit.
    """
    return f"{city} {days} {unit}"


async def simple(x: int) -> int:
    """Return it."""
    return x


def sync(x: int) -> int:
    """Return it at once."""
    return x


async def raw(raw_arguments: dict[str, object], context: RunContext[Any]) -> Any:
    return raw_arguments


FORMS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "bare": (simple, {}),
    "documented": (documented, {}),
    "sync": (sync, {}),
    "named": (simple, {"name": "other", "description": "Else."}),
    "flags": (simple, {"flags": ToolFlag.IGNORE_ON_ENTER}),
    "raw": (raw, {"raw_schema": RAW}),
}
if NEW:
    FORMS |= {
        f"on_duplicate={mode}": (simple, {"on_duplicate": mode})
        for mode in ("allow", "reject", "replace", "confirm")
    }
    FORMS["raw confirm"] = (raw, {"raw_schema": RAW, "on_duplicate": "confirm"})
    FORMS["sync confirm"] = (sync, {"on_duplicate": "confirm"})


def seen_by_a_model(tool: Any) -> list[Any]:
    context = ToolContext([tool])
    formats: list[Any] = [("openai", {"strict": strict}) for strict in (True, False)]
    formats += [("anthropic", {}), ("aws", {})]
    formats += [("google", {})] if NEW else []  # older versions need Google's plugin for it
    return [context.parse_function_tools(format_, **options) for format_, options in formats]


def decorated(f: Any, options: dict[str, Any]) -> dict[str, Any]:
    ready = function_tool(f, **options)
    forms = {
        "called": traced_tool(f, **options),
        "with keywords": traced_tool(**options)(f) if options else traced_tool()(f),
        "on top of a tool": traced_tool(function_tool(f, **options)),
        "a ready object": traced_tool(ready),
        "twice": traced_tool(traced_tool(f, **options)),
    }
    if options.get("on_duplicate") != "confirm":
        forms["under function_tool"] = function_tool(traced_tool(f, **options), **options)
    return forms


@pytest.mark.parametrize("form", FORMS)
def test_the_model_sees_the_same_tool(form: str) -> None:
    f, options = FORMS[form]
    plain = function_tool(f, **options)
    for how, traced in decorated(f, options).items():
        assert type(traced) is type(plain), how
        assert traced.info == plain.info, how
        assert traced.id == plain.id, how
        # As text: LiveKit annotates the parameter of "confirm" with a new object each time.
        assert str(inspect.signature(traced)) == str(inspect.signature(plain)), how
        assert seen_by_a_model(traced) == seen_by_a_model(plain), how


@pytest.mark.skipif(sys.version_info < (3, 14), reason="evaluates annotations at once")
def test_an_annotation_may_name_what_comes_later() -> None:
    source = """
class Booking:
    @tool
    async def book(self, size: Size, at: Table | None = None) -> str:
        'Book a table.'
        return 'done'

class Size(BaseModel):
    people: int

class Table(BaseModel):
    number: int
"""
    schemas = []
    for tool in (function_tool, traced_tool):
        names: dict[str, Any] = {"tool": tool, "BaseModel": BaseModel, "__name__": __name__}
        exec(compile(source, "booking.py", "exec", dont_inherit=True), names)
        (found,) = llm.find_function_tools(names["Booking"]())
        schemas.append(seen_by_a_model(found))
    assert schemas[0] == schemas[1]
    assert "people" in str(schemas[1])


def test_methods_have_the_schema_of_a_plain_tool() -> None:
    def make(base: Any, tool: Any) -> Any:
        class Mine(base):
            @tool
            async def method(self, x: int, context: RunContext[Any]) -> Any:
                """A method."""
                return self, x

            @tool(name="called_so")
            async def named(self, x: str = "y") -> Any: ...

            @staticmethod
            @tool
            async def static(x: int) -> Any:
                return x

            @classmethod
            @tool
            async def of_class(cls, x: int) -> Any:
                return cls, x

        return Mine

    plain, traced = make(Agent, function_tool), make(TracedAgent, traced_tool)
    one, other = plain(instructions=""), traced(instructions="")
    assert [tool.id for tool in other.tools] == [tool.id for tool in one.tools]
    for mine, theirs in zip(other.tools, one.tools, strict=True):
        assert inspect.signature(mine) == inspect.signature(theirs)
        assert seen_by_a_model(mine) == seen_by_a_model(theirs)
    assert asyncio.run(other.method(1, None)) == (other, 1)
    assert asyncio.run(traced.method(other, 1, None)) == (other, 1)
    assert asyncio.run(other.static(1)) == 1
    assert asyncio.run(other.of_class(1))[1] == 1


def test_options_for_a_tool_that_is_made() -> None:
    with pytest.raises(TypeError, match="simple is a tool already"):
        traced_tool(function_tool(simple), name="x")


OURS: dict[str, Any] = {
    "data_risk": {"action_profile": {"read_data": "allowed"}},
    "summary": "{{ inputs.x }}",
    "capture_content": False,
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_said_to_us_is_not_said_to_livekit(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_options, "_hidden", frozenset())
    f, options = FORMS[form]
    plain = function_tool(f, **options)
    for traced in (
        traced_tool(f, **options, **OURS),
        traced_tool(**options, **OURS)(f),
        traced_tool(function_tool(f, **options), **OURS),
        traced_tool(traced_tool(f, **options), **OURS),
    ):
        assert type(traced) is type(plain)
        assert traced.info == plain.info
        assert seen_by_a_model(traced) == seen_by_a_model(plain)
        said = tool_options.declared_tools()[plain.info.name]
        assert said["template"] == "{{ inputs.x }}"
        assert said["data_risk"]["action_profile"] == {"read_data": "allowed"}
        assert plain.info.name in tool_options.hidden_tools()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"data_risk": "high"}, "data_risk must be a dict"),
        ({"data_risk": {"actions": {}}}, "data_risk has no 'actions': one of action_profile"),
        ({"data_risk": {"action_profile": []}}, "data_risk: action_profile must be a dict"),
        ({"data_risk": {"action_profile": {"read": "allowed"}}}, "has no 'read': one of create"),
        (
            {"data_risk": {"action_profile": {"read_data": True}}},
            "data_risk: action_profile: read_data must be one of unknown, allowed, disallowed",
        ),
        ({"data_risk": {"params_data_categories": {"classification": "hot"}}}, "public, internal"),
        ({"summary": "one\ntwo"}, "one line"),
        ({"summary": "{{ inputs.x"}, "{{ without }}"),
        ({"summary": 3}, "Liquid template"),
        ({"capture_content": "no"}, "capture_content must be True or False"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        traced_tool(**wrong)(simple)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_called_directly_it_just_works(sink: MemorySink) -> None:
    for form in FORMS.values():
        f, options = form
        for tool in decorated(f, options).values():
            if f is raw:
                assert await tool({"x": 1}, None) == {"x": 1}
            elif f is documented:
                assert await tool("Oslo", context=None) == "Oslo 3 None"
            else:
                value = tool(x=5)
                assert (await value if inspect.isawaitable(value) else value) == 5
    with pytest.raises(TypeError):
        await traced_tool(simple)()  # type: ignore[call-arg]
    assert not sink.spans


# In a session


async def use(*tools: Any, uses: list[Use], agent: Any = None) -> list[Any]:
    """Have the model use tools; what LiveKit makes of it."""
    agent = agent or Agent(instructions="be", tools=list(tools))
    session: AgentSession[None] = AgentSession(llm=ScriptedLLM(uses, "done", "done"))
    # A plain agent traces nothing: one that is traced is entered first.
    await session.start(agent)
    await session.generate_reply(user_input="go")
    await asyncio.sleep(0.01)
    items = [
        (item.name, item.output, item.is_error)
        for item in session.history.items
        if item.type == "function_call_output"
    ]
    await session.aclose()
    return [sorted(items), type(session.current_agent).__name__ if agent is None else ""]


def traced_agent(*tools: Any) -> TracedAgent:
    return TracedAgent(instructions="be", tools=list(tools))


def calls(sink: MemorySink, name: str) -> list[dict[str, Any]]:
    return [sink.plain(span) for span in sink.of(f"livekit:tool:{name}")]


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_in_a_session(form: str, sink: MemorySink) -> None:
    f, options = FORMS[form]
    arguments = {"city": "Oslo", "days": 2} if f is documented else {"x": 5}
    for traced in decorated(f, options).values():
        name = traced.info.name
        uses = [Use(name, arguments, "the-call")]
        expected = await use(function_tool(f, **options), uses=uses)
        before = len(sink.spans)
        assert await use(uses=uses, agent=traced_agent(traced)) == expected
        (call,) = [c for c in sink.as_dicts()[before:] if c["type"].startswith("livekit:tool:")]
        if "under" not in form:
            assert call["payload"]["call_id"] == "the-call"
        refused = expected[0][0][2]  # LiveKit awaits what a tool returns
        assert call["status"] == ("failed" if refused else "complete")
        inputs = {"city": "Oslo", "days": 2, "unit": None} if f is documented else arguments
        recorded = call["payload"]["inputs"]
        recorded = recorded.get("raw_arguments", recorded)
        assert {k: v for k, v in recorded.items() if not k.startswith("lk_")} == inputs
        results = [
            span for span in sink.as_dicts()[before:] if span["type"] == "livekit:tool_result"
        ]
        assert [result["parent_id"] for result in results] == [call["id"]]


async def test_the_name_is_the_one_that_the_model_used(sink: MemorySink) -> None:
    tool = traced_tool(simple, name="renamed")
    raw_tool = traced_tool(raw, raw_schema=RAW)
    await use(
        uses=[Use("renamed", {"x": 1}), Use("raw_one", {"x": 1})],
        agent=traced_agent(tool, raw_tool),
    )
    assert len(calls(sink, "renamed")) == len(calls(sink, "raw_one")) == 1
    assert not calls(sink, "simple")


async def test_the_name_that_a_tool_above_gives_it(sink: MemorySink) -> None:
    @function_tool(name="shown_name")
    @traced_tool(capture_content=False)
    async def unsaid(x: int) -> str:
        """Inner."""
        return f"seen {x}"

    class Mine(TracedAgent):
        @function_tool(name="bound")
        @traced_tool
        async def method(self, x: int) -> str:
            """Method."""
            return await unsaid(x)

    uses = [Use("shown_name", {"x": 1}), Use("bound", {"x": 2})]
    await use(uses=uses, agent=Mine(instructions="be", tools=[unsaid]))
    (outer,), (bound,) = calls(sink, "shown_name"), calls(sink, "bound")
    assert not calls(sink, "method")
    assert bound["payload"]["inputs"] == {"x": 2}
    assert "1" not in str(outer["payload"]["inputs"])
    # One tool calls the other directly: nobody gave that call another name.
    (direct,) = calls(sink, "unsaid")
    assert direct["parent_id"] == bound["id"]


class Other(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="other")


BOOM = RuntimeError("boom")


def outcomes() -> dict[str, tuple[Callable[[], Any], str, str]]:
    def throw(error: BaseException) -> Any:
        raise error

    table: dict[str, tuple[Callable[[], Any], str, str]] = {
        "value": (lambda: {"a": [1, 2]}, "complete", "returned"),
        "nothing": (lambda: None, "complete", "returned"),
        "tool error": (lambda: throw(ToolError("sorry")), "failed", "tool_error"),
        "stop": (lambda: throw(StopResponse()), "complete", "stop_response"),
        "exception": (lambda: throw(BOOM), "failed", "exception"),
        "cancelled": (lambda: throw(asyncio.CancelledError()), "cancelled", "cancelled"),
        "agent": (Other, "complete", "handoff"),
        "tuple": (lambda: (Other(), "over to them"), "complete", "handoff"),
    }
    if hasattr(llm, "ToolResult"):
        table["result"] = (
            lambda: llm.ToolResult("quiet", reply_required=False),
            "complete",
            "tool_result",
        )
    return table


@pytest.mark.parametrize("name", outcomes())
async def test_outcomes_are_told_apart(name: str, sink: MemorySink) -> None:
    answer, status, kind = outcomes()[name]

    async def body() -> Any:
        """Answer."""
        await asyncio.sleep(0)
        return answer()

    uses = [Use("body", {}, "the-call")]
    expected = await use(function_tool(body), uses=uses)
    assert await use(uses=uses, agent=traced_agent(traced_tool(body))) == expected
    (call,) = calls(sink, "body")
    assert (call["status"], call["result"]["outcome"]) == (status, kind)
    result = sink.one("livekit:tool_result")
    assert result["parent_id"] == call["id"]
    assert result["status"] == status


@pytest.mark.parametrize("name", outcomes())
async def test_values_and_exceptions_pass_untouched(name: str, sink: MemorySink) -> None:
    answer, *_ = outcomes()[name]
    given: list[Any] = []

    @traced_tool
    async def body() -> Any:
        """Answer."""
        try:
            given.append(answer())
        except BaseException as error:
            given.append(error)
            raise
        return given[-1]

    got: list[Any] = []

    @traced_tool
    async def outer() -> str:
        """Ask the other tool, inside the session."""
        try:
            got.append(await body())
        except BaseException as error:
            got.append(error)
        return "ok"

    await use(uses=[Use("outer")], agent=traced_agent(outer))
    assert len(got) == 1
    assert got[0] is given[0]
    assert len(calls(sink, "body")) == 1


async def test_parallel_calls_keep_their_own_spans(sink: MemorySink) -> None:
    async def slow(x: int) -> int:
        """Wait."""
        await asyncio.sleep(0.05 / x)
        return x * 10

    @traced_tool
    async def look(x: int) -> int:
        """Look."""
        return await slow(x)

    uses = [
        Use("look", {"x": 1}, "first"),
        Use("look", {"x": 5}, "second"),
        Use("raw_one", {"x": 3}, "third"),
    ]
    await use(uses=uses, agent=traced_agent(look, traced_tool(raw, raw_schema=RAW)))
    found = {c["payload"]["call_id"]: c for c in [*calls(sink, "look"), *calls(sink, "raw_one")]}
    assert found["first"]["payload"]["inputs"] == {"x": 1}
    assert found["first"]["result"]["outputs"] == {"output": 10}
    assert found["second"]["payload"]["inputs"] == {"x": 5}
    assert found["second"]["result"]["outputs"] == {"output": 50}
    assert found["third"]["payload"]["inputs"] == {"raw_arguments": {"x": 3}}
    assert found["second"]["finished_us"] < found["first"]["finished_us"]
    parents = {result["parent_id"] for result in map(sink.plain, sink.of("livekit:tool_result"))}
    assert parents == {call["id"] for call in found.values()}


async def test_the_input_is_recorded_as_it_was(sink: MemorySink) -> None:
    @traced_tool
    async def change(items: list[int]) -> list[int]:
        """Change."""
        items.append(3)
        return items

    await use(uses=[Use("change", {"items": [1, 2]})], agent=traced_agent(change))
    (call,) = calls(sink, "change")
    assert call["payload"]["inputs"] == {"items": [1, 2]}
    assert call["result"]["outputs"] == {"output": [1, 2, 3]}


async def test_mocks_replace_the_tool(sink: MemorySink) -> None:
    class Mine(TracedAgent):
        @traced_tool
        async def look(self, x: int) -> str:
            """Look."""
            raise AssertionError("not mocked")

    with mock_tools(Mine, {"look": lambda x: f"mocked {x}"}):
        found = await use(uses=[Use("look", {"x": 1})], agent=Mine(instructions="be"))
    assert found[0] == [("look", "mocked 1", False)]
    assert not calls(sink, "look")


async def test_a_tool_of_a_task(sink: MemorySink) -> None:
    class Ask(TracedAgentTask[str]):
        def __init__(self) -> None:
            super().__init__(instructions="ask")

        async def on_enter(self) -> None:
            self.session.generate_reply()

        @traced_tool
        async def answer(self, word: str) -> None:
            """Answer."""
            self.complete(word)

    class Mine(TracedAgent):
        @traced_tool
        async def ask(self) -> str:
            """Ask."""
            return await Ask()

    session: AgentSession[None] = AgentSession(
        llm=ScriptedLLM([Use("ask")], [Use("answer", {"word": "yes"})], "done", "done")
    )
    await session.start(Mine(instructions="be"))
    await session.generate_reply(user_input="go")
    async with asyncio.timeout(5):
        while not calls(sink, "ask") or calls(sink, "ask")[0]["status"] == "active":
            await asyncio.sleep(0.01)
    await session.aclose()
    (ask,) = calls(sink, "ask")
    assert ask["result"]["outputs"] == {"output": "yes"}
    (answer,) = calls(sink, "answer")
    assert answer["payload"]["inputs"] == {"word": "yes"}


async def test_a_sync_tool_is_called_as_livekit_calls_it(sink: MemorySink) -> None:
    # LiveKit awaits what a tool answers: a sync one fails there, after its body, in every version.
    uses = [Use("sync", {"x": 1})]
    expected = await use(function_tool(sync), uses=uses)
    assert expected[0][0][2] is True
    assert await use(uses=uses, agent=traced_agent(traced_tool(sync))) == expected


@pytest.mark.parametrize("fails", [False, True])
async def test_a_tool_that_hands_over_its_work_is_recorded_to_its_end(
    fails: bool, sink: MemorySink
) -> None:
    async def work() -> str:
        await asyncio.sleep(0.2)
        if fails:
            raise ToolError("no")
        return "done"

    def hands() -> Any:
        """Hand over."""
        return asyncio.ensure_future(work())

    expected = await use(function_tool(hands), uses=[Use("hands")])
    assert expected[0] == [("hands", "no" if fails else "done", fails)]
    assert await use(uses=[Use("hands")], agent=traced_agent(traced_tool(hands))) == expected
    (span,) = calls(sink, "hands")
    assert span["result"]["duration_ms"] == pytest.approx(200, abs=1)
    assert span["result"]["outcome"] == ("tool_error" if fails else "returned")
    assert span["result"].get("outputs") == (None if fails else {"output": "done"})


async def test_an_iterator_is_not_used_up(sink: MemorySink) -> None:
    def fresh() -> list[Any]:
        return [iter([1, 2]), (x for x in [1, 2]), map(int, "12")]

    given = [*fresh(), {"rows": fresh()[0], "more": [fresh()[1]]}]

    for value in given:

        @traced_tool
        async def rows() -> Any:
            """Rows."""
            return value  # noqa: B023

        @traced_tool
        async def outer() -> str:
            """Ask."""
            answer = await rows()
            if isinstance(answer, dict):
                assert list(answer["more"][0]) == [1, 2]
                answer = answer["rows"]
            assert list(answer) == [1, 2]
            return "ok"

        answers = await use(uses=[Use("outer")], agent=traced_agent(outer))
        assert answers[0] == [("outer", "ok", False)]


class ToolResult:
    """Of the program's own, with a name that LiveKit uses too."""


async def test_a_result_of_the_programs_own(sink: MemorySink) -> None:
    @traced_tool
    async def look() -> Any:
        """Look."""
        return ToolResult()

    await use(uses=[Use("look")], agent=traced_agent(look))
    (told,) = calls(sink, "look")
    assert (told["status"], told["result"]["outcome"]) == ("failed", "invalid_output")


async def test_arguments_that_do_not_fit(sink: MemorySink) -> None:
    """The call says itself what is wrong with it."""

    @traced_tool
    async def inner(x: int) -> int:
        """Inner."""
        return x

    @traced_tool
    async def outer() -> str:
        """Ask."""
        with pytest.raises(TypeError):
            await inner(1, y=2)  # type: ignore[call-arg]
        return "ok"

    await use(uses=[Use("outer")], agent=traced_agent(outer))
    (told,) = calls(sink, "inner")
    assert told["payload"]["inputs"] == {"0": 1, "y": 2}
    assert told["result"]["outcome"] == "exception"


async def test_what_a_method_is_bound_to_is_no_input(sink: MemorySink) -> None:
    class Mine(TracedAgent):
        @traced_tool
        async def look(this, x: int) -> str:  # noqa: N805
            """Look."""
            return "seen"

    @traced_tool
    async def enroll(cls: str, x: int) -> str:
        """Enroll."""
        return "done"

    uses = [Use("look", {"x": 1}), Use("enroll", {"cls": "math", "x": 2})]
    await use(uses=uses, agent=Mine(instructions="be", tools=[enroll]))
    assert calls(sink, "look")[0]["payload"]["inputs"] == {"x": 1}
    assert calls(sink, "enroll")[0]["payload"]["inputs"] == {"cls": "math", "x": 2}


async def test_the_class_of_a_class_method_is_no_input(sink: MemorySink) -> None:
    class Mine(TracedAgent):
        @classmethod
        @traced_tool
        async def of_class(cls, x: int) -> int:
            """Of the class."""
            return x

    await use(uses=[Use("of_class", {"x": 1})], agent=Mine(instructions="be"))
    assert calls(sink, "of_class")[0]["payload"]["inputs"] == {"x": 1}


# A plain agent by mistake


@pytest.mark.parametrize(
    ("base", "disabled", "expected"),
    [(Agent, False, 1), (Agent, True, 0), (TracedAgent, False, 0)],
)
async def test_a_plain_agent_with_traced_tools_is_named_once(
    base: type[Agent],
    disabled: bool,
    expected: int,
    sink: MemorySink,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tools, "_warned_of_plain_agent", False)
    if disabled:
        monkeypatch.setenv("PREFACTOR_DISABLED", "1")

    class Forgotten(base):  # type: ignore[misc,valid-type]
        @traced_tool
        async def price(self) -> str:
            return "30"

    agent = Forgotten(instructions="")
    assert await agent.price() == "30", "called by the program: not the model's"
    for _ in range(2):
        model = ScriptedLLM([Use("price")], "It is 30.")
        async with AgentSession[None](llm=model) as session:
            await session.start(Forgotten(instructions=""))
            await session.run(user_input="What is it?")
    warned = [record.getMessage() for record in caplog.records if "plain Agent" in record.message]
    assert len(warned) == expected
    assert all(line.startswith("Forgotten has traced tools") for line in warned)


def test_two_tools_of_one_name_share_a_summary_with_the_arguments_of_both() -> None:
    @traced_tool(name="settle")
    async def one(account: str, amount: float, note: str = "") -> None: ...

    assert tool_options.declared_tools()["settle"]["arguments"] == (
        ("account",),
        ("amount",),
        ("note",),
    )

    @traced_tool(name="settle")
    async def other(amount: float, account: str, day: str) -> None: ...

    assert tool_options.declared_tools()["settle"]["arguments"] == (
        ("amount",),
        ("account",),
        ("day",),
        ("note",),
    )
