"""Two agents and a task on one line, traced: who had the call, why, and what was asked in between.

The receptionist books a table by way of a task, which asks for what is missing and comes back with
it, and hands over to the kitchen for good. What goes on in the task lies below the call of the tool
that awaits it; a handoff is a span with the tool that caused it. Run it against a LiveKit server
with `python samples/multi_agent.py dev`.
"""

from dataclasses import dataclass

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    TurnHandlingOptions,
    cli,
    vad,
)
from livekit.plugins import openai, silero

from prefactor_agent import TracedAgent, TracedAgentTask, traced_tool

MENU = {"soup": "tomato and basil", "special": "mushroom risotto"}


@dataclass
class Party:
    """Who wants to come."""

    name: str
    people: int


class AskForParty(TracedAgentTask[Party]):
    """Asks for the name and the number of people, and is done when it has both."""

    def __init__(self) -> None:
        super().__init__(
            instructions="Ask for the caller's name and for how many people the table is to be."
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Ask for the name and the number of people.")

    @traced_tool
    async def note_party(self, name: str, people: int) -> None:
        """Note who wants to come, once both are known.

        Args:
            name: The caller's name.
            people: How many will come, the caller included.
        """
        self.complete(Party(name, people))


class Receptionist(TracedAgent):
    """Answers the phone of a restaurant."""

    def __init__(self) -> None:
        super().__init__(
            instructions=(
                "You answer the phone of a restaurant. Book tables with your tool, and transfer "
                "the caller to the kitchen for anything about the food."
            )
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller and offer your help.")

    @traced_tool
    async def book_table(self, time: str) -> str:
        """Book a table.

        Args:
            time: When, as the caller said it.
        """
        party = await AskForParty()
        return f"A table for {party.people} at {time} is booked for {party.name}."

    @traced_tool
    async def transfer_to_kitchen(self) -> tuple[Agent, str]:
        """Let the caller speak with the kitchen, about the menu, allergies and the like."""
        return Kitchen(), "The kitchen will be with you at once."


class Kitchen(TracedAgent):
    """Knows the food."""

    def __init__(self) -> None:
        super().__init__(
            instructions="You are the cook of a restaurant. Say what there is; look it up first."
        )

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Say that this is the kitchen.")

    @traced_tool
    async def todays(self, course: str) -> str:
        """Find out what there is today.

        Args:
            course: soup, or special.
        """
        return MENU.get(course, "nothing today")


def new_session(voice_activity: vad.VAD) -> AgentSession[None]:
    """The models of a call."""
    return AgentSession(
        stt=openai.STT(),
        llm=openai.LLM(),
        tts=openai.TTS(),
        vad=voice_activity,
        turn_handling=TurnHandlingOptions(turn_detection="vad", interruption={"mode": "vad"}),
    )


server = AgentServer()


@server.rtc_session()
async def answer(job: JobContext) -> None:
    """Answer one call."""
    await new_session(silero.VAD.load()).start(agent=Receptionist(), room=job.room)


if __name__ == "__main__":
    cli.run_app(server)
