"""python -m support.prefactor_server --port 0 --state FILE"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .serve import run
from .settings import Settings

parser = argparse.ArgumentParser(prog="python -m support.prefactor_server", description=__doc__)
parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
parser.add_argument("--state", type=Path, help="keeps the state here, across restarts")
parser.add_argument("--settings", default="{}", help="JSON: fields of Settings")
arguments = parser.parse_args()
run(Settings(**json.loads(arguments.settings)), arguments.state, arguments.port)
