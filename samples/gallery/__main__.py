"""Draws the pictures of `docs/gallery.md` anew: `make gallery`."""

import logging
import os
import time
from pathlib import Path

from prefactor_agent.view.terminal.output import write_svg

from .calls import CALLS, WIDTH, hold, picture

PICTURES = Path(__file__).parents[2] / "docs" / "gallery"


def main() -> None:
    os.environ["TZ"] = "UTC"
    time.tzset()
    logging.disable()  # LiveKit has much to say about a room that is none
    PICTURES.mkdir(exist_ok=True)
    for name in CALLS:
        file = PICTURES / f"{name}.svg"
        write_svg(picture(hold(name)), file, "prefactor-agent show", WIDTH)
        print(file.relative_to(PICTURES.parents[1]))


if __name__ == "__main__":
    main()
