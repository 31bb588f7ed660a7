"""What the recorded models answer, and where a new run leaves the recorded one. No LiveKit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..replay import Asked, Recording, Request, Speech


class Replayed:
    """What every replayed model says of itself; before LiveKit's class in the bases."""

    @property
    def model(self) -> str:
        return "replay"

    @property
    def provider(self) -> str:
        return "prefactor_agent"


class ReplayMismatch(AssertionError):  # noqa: N818  # pytest shows it as what it is: a failed test
    """The new run left the recorded one; the message says where."""


class Script:
    """The recorded answers of a call, each given once."""

    def __init__(self, recording: Recording, *, any_result: bool, any_words: bool) -> None:
        self._requests = recording.requests
        self._turns = {turn.number: turn.text for turn in recording.turns}
        self._waiting = list(recording.requests)
        self._speeches = list(recording.speeches)
        self._any = {"result": any_result, "user": any_words, "call": False}
        """Of what kind of thing it is let pass that its text is another one."""
        self.served = 0
        """LLM requests answered so far."""
        characters = sum(len("".join(one.given.text)) for one in recording.speeches)
        seconds = sum(sum(one.audio.size) / one.audio.sample_rate for one in recording.speeches)
        self.seconds_per_character = seconds / characters if characters and seconds else 0.06
        """How fast the recorded voice spoke."""
        levels = [level for one in recording.speeches for level in one.audio.dbfs if level > -60]
        self.loudness = round(sum(levels) / len(levels)) if levels else -20

    def answer(self, asked: Sequence[Asked], tools: Collection[str]) -> Request:
        """The recorded reply to a request.

        Raises:
            ReplayMismatch: No such request was recorded, or its reply calls a tool that the agent
                does not have.
        """
        found = next((one for one in self._waiting if self._same(one.asked, asked)), None)
        if found is None:
            raise ReplayMismatch(self._left_at(asked))
        missing = [call for call in found.tool_calls if call.name not in tools]
        if missing:
            offered = ", ".join(sorted(tools)) or "none"
            raise ReplayMismatch(
                f"the new run left the recording at {self._place(found)}: the recorded model calls "
                f"{missing[0].name}({missing[0].arguments}), a tool that the agent does not have "
                f"(it has: {offered})"
            )
        self._waiting.remove(found)
        self.served += 1
        return found

    def give_back(self, request: Request) -> None:
        """A reply that was broken off may be asked for again."""
        self._waiting.insert(0, request)
        self._waiting.sort(key=lambda one: one.number)

    def speech(self, begins: str) -> Speech | None:
        """The recorded speech that begins with this text; ``None``: it was never said."""
        for speech in self._speeches:
            if squeezed("".join(speech.given.text)).startswith(squeezed(begins)):
                self._speeches.remove(speech)
                return speech
        return None

    def unasked(self) -> str | None:
        """What the recorded agent asked and the new one did not, in words."""
        left = [one for one in self._waiting if not one.optional]
        if not left:
            return None
        return (
            f"the new run ended before {self._place(left[0])}, which was about:\n"
            f"{_listed(left[0].asked)}"
        )

    def _same(self, recorded: Sequence[Asked], asked: Sequence[Asked]) -> bool:
        return len(recorded) == len(asked) and all(
            old.kind == new.kind
            and old.name == new.name
            and (self._any[new.kind] or squeezed(old.text) == squeezed(new.text))
            for old, new in zip(recorded, asked, strict=True)
        )

    def _place(self, request: Request) -> str:
        said = self._turns.get(request.turn)
        where = f"user turn {request.turn}, “{said}”" if said else "before the caller spoke"
        return f"LLM request {request.number} ({where})"

    def _left_at(self, asked: Sequence[Asked]) -> str:
        words = [one.text for one in asked if one.kind == "user"]
        about = [one for one in self._waiting if _words(one.asked) == words]
        expected = next(iter(about or [one for one in self._waiting if not one.optional]), None)
        if expected is None:
            return (
                "the new run left the recording at its end: the agent made a further LLM request, "
                f"after all {len(self._requests)} that were recorded, about:\n{_listed(asked)}"
            )
        return (
            f"the new run left the recording at {self._place(expected)}: {_why(expected, asked)}\n"
            f"recorded:\n{_listed(expected.asked)}\nnow:\n{_listed(asked)}"
        )


def squeezed(text: str) -> str:
    """A text without what differs between two ways of joining its pieces."""
    return "".join(text.split())


def _words(asked: Sequence[Asked]) -> list[str]:
    return [one.text for one in asked if one.kind == "user"]


def _why(expected: Request, asked: Sequence[Asked]) -> str:
    if _words(expected.asked) != _words(asked):
        return "the agent understood the caller differently"
    for kind, what in (("call", "was called with"), ("result", "gave")):
        old = [(one.name, one.text) for one in expected.asked if one.kind == kind]
        new = [(one.name, one.text) for one in asked if one.kind == kind]
        for name, text in new:
            if (name, text) not in old:
                return f"the tool {name} {what} “{text}” now, and not then"
        for name, text in old:
            if (name, text) not in new:
                return f"the tool {name} {what} “{text}” then, and not now"
    return "this was asked before, and is asked once more"


def _listed(asked: Sequence[Asked]) -> str:
    marks = {"user": "user:  ", "call": "calls: ", "result": "result:"}
    lines = [
        f"  {marks[one.kind]} {one.name + ': ' if one.name else ''}{one.text}" for one in asked
    ]
    return "\n".join(lines) or "  (nothing: a greeting)"
