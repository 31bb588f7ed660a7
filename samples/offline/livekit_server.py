"""A LiveKit server that does not leave loopback."""

import json
import socket
import urllib.request
from pathlib import Path

from livekit import api

from . import livekit_binary
from .processes import Program, Server, free_port

KEY = "devkey"
SECRET = "only-for-a-server-on-loopback-0123456789"
"""LiveKit warns about one of less than 32 characters."""


class LiveKitServer(Server):
    """The server's process, on ports that stay its own when it is started again.

    Args:
        log: The file that it writes its log to.
        port: For signalling, a free one unless given; those for media are always free ones.

    Raises:
        UnavailableError: There is no server's program; see `livekit_binary`.
    """

    def __init__(self, log: Path, *, port: int = 0) -> None:
        self.port = port or free_port()
        config = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {KEY: SECRET},
            "rtc": {
                "tcp_port": free_port(),
                "udp_port": free_port(socket.SOCK_DGRAM),
                "node_ip": "127.0.0.1",
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
            },
            # How long the agent stays in a room that all others have left.
            "room": {"departure_timeout": 1},
            # By default a worker on a busy machine gets no job, without any message.
            "agents": {"target_load": 100},
        }
        self.program = Program(
            "livekit-server",
            [str(livekit_binary.find())],
            log,
            {"LIVEKIT_CONFIG": json.dumps(config)},
        )

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker or a caller needs to find it."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}

    def api(self) -> api.LiveKitAPI:
        """A client of its API; to be closed."""
        return api.LiveKitAPI(self.url.replace("ws", "http", 1), KEY, SECRET)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
