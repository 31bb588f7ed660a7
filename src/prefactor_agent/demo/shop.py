"""The agent of the demo: a shop's phone line, traced.

Two names make it a traced agent: ``TracedAgent`` instead of LiveKit's ``Agent``, and
``@traced_tool`` instead of ``@function_tool``. The rest is an ordinary LiveKit agent.
``samples/agent.py`` in the repository answers calls with it on a LiveKit server.
"""

from livekit.agents import AgentSession, ToolError, TurnHandlingOptions, vad
from livekit.plugins import openai

from prefactor_agent import TracedAgent, traced_tool

ORDERS = {"42": "has shipped and arrives on Friday"}
STOCK = {"kettle": 3, "teapot": 0}
SATURDAY = "ten to four"
WEEKDAY = "nine to six"


class ShopAssistant(TracedAgent):
    """Answers the phone of a kitchen shop."""

    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You answer the phone of a small kitchen shop. Be friendly and brief: your words "
                "are spoken aloud. Use the tools for orders, stock and opening hours."
            )
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller and offer your help.")

    @traced_tool
    async def look_up_order(self, order_id: str) -> str:
        """Find out where an order is.

        Args:
            order_id: The number of the order, in digits.
        """
        if order_id not in ORDERS:
            raise ToolError(f"There is no order {order_id}.")
        return f"Order {order_id} {ORDERS[order_id]}."

    @traced_tool
    async def cancel_order(self, order_id: str) -> str:
        """Cancel an order that has not left the shop yet.

        Args:
            order_id: The number of the order, in digits.
        """
        if "shipped" in ORDERS.get(order_id, ""):
            raise ToolError(f"Order {order_id} has already shipped.")
        return f"Order {order_id} is cancelled."

    @traced_tool
    async def check_stock(self, item: str) -> str:
        """Count what is left of an item in the shop.

        Args:
            item: The item, in the singular.
        """
        return f"We have {STOCK.get(item, 0)} of the {item} left."

    @traced_tool
    async def store_hours(self, day: str) -> str:
        """Tell when the shop is open.

        Args:
            day: A day of the week.
        """
        if day.lower() == "sunday":
            return "On Sunday we are closed."
        return f"On {day} we are open from {SATURDAY if day.lower() == 'saturday' else WEEKDAY}."


def new_session(voice_activity: vad.VAD) -> AgentSession[None]:
    """The models of a call: OpenAI's, wherever ``OPENAI_BASE_URL`` says that they are.

    Voice activity alone detects the turns, so that only the model provider is contacted.
    """
    return AgentSession(
        stt=openai.STT(),
        llm=openai.LLM(),
        tts=openai.TTS(),
        vad=voice_activity,
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
    )
