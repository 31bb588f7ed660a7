"""A caller for a running worker: joins a room, speaks, listens, and measures the pickup and the
dead air.

`python -m samples.call`, with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` as the
worker has them. The voice is espeak-ng's; what was heard is read from the room's text streams.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from livekit import rtc
from rich.console import Console

from prefactor_agent.demo.recording import RATE, stereo, write_wav
from prefactor_agent.demo.script import CALLER, Line
from prefactor_agent.demo.speech import Samples
from prefactor_agent.demo.terminal import print_words, quiet
from samples.offline.phone import CallFailedError, Heard, Phone, token
from samples.offline.waveform import first_sound, silences

JWT = re.compile(r"eyJ[\w.-]+")
"""The ticket to the room, which a server that refuses it quotes."""
BREATH = 0.3
"""Seconds from the end of an answer to the next sentence."""


@dataclass(frozen=True)
class Recording:
    """Both voices of a call as the caller had them."""

    sound: Samples
    """The caller on the left, the agent on the right, at `RATE`."""
    pickup: float | None = None
    """Seconds from the caller's arrival in the room to the first sound of the agent at their ear;
    None if the agent did not greet."""

    @property
    def dead_air(self) -> list[float]:
        """Seconds from the caller's last sound to the agent's first, for each answer."""
        return [seconds for _, seconds in silences(self.sound[:, 0], self.sound[:, 1], RATE)]


Progress = Callable[[str, str], None]
"""Called with who (caller, heard, agent) and what, as the call goes on."""


async def hold(phone: Phone, lines: Iterable[Line], progress: Progress) -> Recording:
    """Wait for a greeting, say each line at its moment, and wait for the last answer.

    Raises:
        CallFailedError: The agent did not come, did not answer, or left.
    """
    started_at = time.monotonic()
    phone.on_heard = lambda heard: _report(phone, heard, progress)
    await phone.greeted()
    greeting = phone.ear.between(phone.joined_at, time.monotonic())
    pickup = first_sound(greeting.samples, greeting.rate)
    for number, one in enumerate(lines):
        if one.after == "talking":
            await phone.talking(one.breath)
        else:
            if number > 0:
                await phone.answered()
            await asyncio.sleep(one.breath)
        progress("caller", f"{one.text} (over the agent)" if one.after == "talking" else one.text)
        await phone.say(one.text)
    await phone.answered()
    both = stereo(phone.microphone.track, phone.ear, started_at, time.monotonic())
    return Recording(both, pickup)


def _report(phone: Phone, heard: Heard, progress: Progress) -> None:
    if heard.speaker != phone.identity:
        progress("agent", heard.text)
    elif heard.final:
        progress("heard", heard.text)


def call(
    url: Annotated[str, typer.Option(envvar="LIVEKIT_URL")],
    api_key: Annotated[str, typer.Option(envvar="LIVEKIT_API_KEY")],
    api_secret: Annotated[str, typer.Option(envvar="LIVEKIT_API_SECRET")],
    sentences: Annotated[
        list[str] | None, typer.Argument(help="what to say; the demo's call if nothing is given")
    ] = None,
    room: Annotated[str | None, typer.Option(help="a new one unless given")] = None,
    identity: Annotated[str, typer.Option(help="who calls")] = "caller",
    agent: Annotated[str | None, typer.Option(help="the agent's name, if it has one")] = None,
    voice: Annotated[str, typer.Option(help="a voice of espeak-ng's")] = "en-us",
    wav: Annotated[Path, typer.Option(help="both voices go here")] = Path("demo-out/call.wav"),
) -> None:
    """Call a running worker, and say how long its pickup and its dead air were."""
    quiet()
    console = Console()
    room = room or f"call-{secrets.token_hex(3)}"
    lines = [Line(text, breath=BREATH) for text in sentences or ()] or CALLER
    ticket = token(api_key, api_secret, room, identity, agent=agent)
    console.print(f"Room {room} at {url}", highlight=False)
    try:
        recording = asyncio.run(_call(url, ticket, voice, lines, console))
    except (CallFailedError, rtc.ConnectError) as error:
        said = JWT.sub("…", str(error))
        console.print(f"The call failed: {said}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    write_wav(wav, recording.sound)
    if recording.pickup is not None:
        console.print(f"Pickup    {recording.pickup:.2f} s", highlight=False)
    silent = recording.dead_air
    if silent:
        listed = ", ".join(f"{seconds:.2f}" for seconds in silent)
        if len(silent) > 1:
            listed += f" s; median {median(silent):.2f} s, longest {max(silent):.2f}"
        console.print(f"Dead air  {listed} s", highlight=False, soft_wrap=True)
    console.print(f"Recorded  {wav}  (caller left, agent right)", highlight=False, soft_wrap=True)


async def _call(
    url: str, ticket: str, voice: str, lines: Sequence[Line], console: Console
) -> Recording:
    async with Phone(voice=voice) as phone:
        await phone.dial(url, ticket)
        return await hold(phone, lines, lambda who, what: print_words(console, who, what))


if __name__ == "__main__":
    typer.run(call)
