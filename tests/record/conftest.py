"""The spans of these tests go where each put is noted."""

import pytest

from prefactor_agent.tracing import tracer
from support.tree import Recorder


@pytest.fixture
def sink() -> Recorder:
    sink = Recorder()
    tracer.send_to(sink)
    return sink
