"""The recording of a call, served to its page: in ranges, so that a browser can go to any moment of
a long one. Only the id of a call is read from the request, never a path."""

from __future__ import annotations

import asyncio
from contextlib import closing
from urllib.parse import quote

from aiohttp import web

from ...stored.recording import Recording
from ...stored.source import Place, Source, SourceError
from ..report.listening import TYPE, PageSound
from .guard import refused


def page_sound(source: Source, session_id: str) -> PageSound | None:
    """What the page of a call plays; ``None``: the call has no recording."""
    found = source.recording(session_id)
    return PageSound(found, f"/calls/{quote(session_id)}/audio") if found is not None else None


class Audio:
    """Answers the browser that plays a recording.

    Args:
        place: Where the calls are kept.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    async def answer(self, request: web.Request) -> web.StreamResponse:
        session_id = request.match_info["id"]
        try:
            found = await asyncio.to_thread(self._find, session_id)
        except SourceError as error:
            return refused(404, str(error))
        if found is None:
            return refused(404, f"the call {session_id} has no recording")
        return web.FileResponse(found.path, headers={"Content-Type": TYPE})

    def _find(self, session_id: str) -> Recording | None:
        with closing(self._place.open()) as source:
            return source.recording(session_id)
