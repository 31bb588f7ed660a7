from __future__ import annotations

from support.server_fixtures import running_server as running_server
from support.server_fixtures import server as server
