"""What a type checker must see of the installed package: checked by `mypy --strict`, never run."""

from typing import assert_type

from livekit.agents import RunContext
from livekit.agents.llm import FunctionTool, RawFunctionTool

from prefactor_agent import ConfigurationError, TracedAgent, TracedAgentTask, configure, traced_tool
from prefactor_agent.testing import replay as replay


@traced_tool
async def price(context: RunContext[None], item: str, amount: int = 1) -> float:
    return amount * 2.5


@traced_tool(name="stock", summary="{{ inputs.item }}")
async def stock_of(item: str) -> int:
    return 3


@traced_tool(raw_schema={"name": "raw", "parameters": {}})
async def raw(raw_arguments: dict[str, object]) -> str:
    return ""


async def use(context: RunContext[None]) -> None:
    assert_type(await price(context, "kettle", amount=2), float)
    assert_type(await stock_of("kettle"), int)
    assert isinstance(price, FunctionTool) and isinstance(raw, RawFunctionTool)
    await price(context, 5)  # type: ignore[arg-type]  # the signature is kept
    await stock_of()  # type: ignore[call-arg]


class Clerk(TracedAgent):
    @traced_tool
    async def hours(self, day: str) -> str:
        return "nine to six"


class Number(TracedAgentTask[int]):
    pass


async def asked() -> None:
    assert_type(await Number(instructions=""), int)


try:
    configure(capture_content=False, redact_keys={"card"}, keep_days=7)
    configure(no_such_setting=True)  # type: ignore[call-arg]
except ConfigurationError:
    pass
