"""Pictures and sound in a conversation, described: what kind they are and how large, never what is
in them. Called off the event loop."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from livekit import rtc
from livekit.agents import llm

from ...core.json import JSON, without_none


def described(part: Any) -> JSON:
    """A part of a message's content that is no text."""
    if isinstance(part, llm.ImageContent):
        return without_none(
            {
                "type": part.type,
                **_picture(part.image),
                "inference_width": part.inference_width,
                "inference_height": part.inference_height,
                "inference_detail": part.inference_detail,
                **({"mime_type": part.mime_type} if part.mime_type else {}),
            }
        )
    if isinstance(part, llm.AudioContent):
        seconds = sum(frame.duration for frame in part.frame)
        return without_none(
            {"type": part.type, "seconds": round(seconds, 3), "transcript": part.transcript}
        )
    return {"type": type(part).__name__}


def _picture(image: Any) -> JSON:
    if isinstance(image, rtc.VideoFrame):
        return {
            "source": "video_frame",
            "width": image.width,
            "height": image.height,
            "bytes": len(image.data),
            "pixel_format": _format(image.type),
        }
    if not isinstance(image, str):
        return {"source": type(image).__name__}
    if image[:5].lower() == "data:":
        head, _, data = image[5:].partition(",")
        kind, *options = head.split(";")
        size = len(data.rstrip("=")) * 3 // 4 if "base64" in options else len(data)
        return without_none({"source": "data_url", "mime_type": kind or None, "bytes": size})
    return without_none({"source": "url", "host": _host(image)})


def _host(url: str) -> str | None:
    # The rest of an address can be a secret: a signed link, a person's name.
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _format(kind: Any) -> str | None:
    try:
        return rtc.VideoBufferType.Name(kind).lower()
    except ValueError:
        return None
