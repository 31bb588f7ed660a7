"""Arize Phoenix in a process of its own, and what it shows."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from samples.offline.processes import Program, Server, free_port

from .waiting import until

PROJECT = "default"


class Phoenix(Server):
    """A Phoenix with an empty database.

    Args:
        program: `phoenix` in its virtual environment.
        folder: For its database and its log.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        environment = {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        self.program = Program(
            "phoenix", [str(program), "serve"], folder / "phoenix.log", environment
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 180.0) -> None:
        super().start(timeout)

    def spans(self, session_id: str = "") -> list[dict[str, Any]]:
        """The spans of a call, or of all."""
        found: list[dict[str, Any]] = self._all(f"projects/{PROJECT}/spans")
        return [span for span in found if session_id in ("", span["attributes"].get("session.id"))]

    def wait_for(self, session_id: str, count: int) -> list[dict[str, Any]]:
        """The spans of a call, once there are so many: Phoenix stores what it took a little
        later."""
        until(lambda: len(self.spans(session_id)) >= count)
        return self.spans(session_id)

    def sessions(self) -> list[dict[str, Any]]:
        return self._all(f"projects/{PROJECT}/sessions")

    def page(self, kind: str, id_: str) -> str:
        """The address of a page.

        Args:
            kind: ``traces`` or ``sessions``.
        """
        (project,) = (one for one in self._all("projects") if one["name"] == PROJECT)
        return f"{self.url}/projects/{project['id']}/{kind}/{id_}"

    def _all(self, path: str) -> list[Any]:
        found: list[Any] = []
        cursor = None
        while True:
            query = {"limit": 100, **({"cursor": cursor} if cursor else {})}
            with urllib.request.urlopen(f"{self.url}/v1/{path}?{urlencode(query)}") as answer:
                told = json.load(answer)
            found += told["data"]
            if not (cursor := told.get("next_cursor")):
                return found

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/projects", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
