"""The program `livekit-server`: found, or built, into the project's own folder `.livekit`.

`make livekit-server`. From Go's module proxy it takes one to two minutes on two cores."""

import re

from .go_program import PROJECT, GoProgram
from .go_program import UnavailableError as UnavailableError

VERSION = "1.13.5"


def near(version: str) -> bool:
    """Whether a server that calls itself so speaks as the one that is built does: 1.12 to 1.14."""
    found = re.search(r"(\d+)\.(\d+)", version)
    wanted = [int(part) for part in VERSION.split(".")]
    return found is not None and int(found[1]) == wanted[0] and abs(int(found[2]) - wanted[1]) <= 1


LIVEKIT = GoProgram(
    title="LiveKit server",
    name="livekit-server",
    version=VERSION,
    target="livekit-server",
    folder=PROJECT / ".livekit",
    package=f"github.com/livekit/livekit-server/cmd/server@v{VERSION}",
    built="server",
    fits=near,
)
find = LIVEKIT.find
get = LIVEKIT.get

if __name__ == "__main__":
    LIVEKIT.main()
