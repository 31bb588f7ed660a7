"""One LiveKit server, one Prefactor and one worker for all calls that do not end them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples.offline.livekit_binary import UnavailableError, find

from support.livekit import Site, Worker

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def livekit_server() -> None:
    """The program is there; else the test is skipped, or fails where it is required."""
    try:
        find()
    except UnavailableError as error:
        if os.environ.get("PREFACTOR_TEST_LIVEKIT") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def site(livekit_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    print(f"the logs are in {folder}")
    with Site(folder, HERE / "script.json") as site:
        yield site


@pytest.fixture(scope="session")
def shop(site: Site) -> Iterator[Worker]:
    """`python samples/agent.py dev`, which records its calls."""
    with site.worker(settings={"PREFACTOR_KEEP_AUDIO": "1"}) as worker:
        yield worker


@pytest.fixture(scope="session")
def desk(site: Site) -> Iterator[Worker]:
    """The agent of `agents/desk.py`, for callers who ask for `desk`."""
    with site.worker(HERE / "agents" / "desk.py") as worker:
        yield worker
