"""Many spans that wait."""

from __future__ import annotations

import time
from pathlib import Path

from support.prefactor_server import PrefactorServer

from .calls import begin_call, user_turn, whole_call
from .conftest import Side


def test_the_writer_does_not_feel_a_delivery(server: PrefactorServer, tmp_path: Path) -> None:
    side = Side(tmp_path, server)
    for _ in range(5):
        whole_call(side.writer, turns=72)
    assert side.writer.flush(30)
    side.deliverer.start()
    call = begin_call(side.writer)
    worst = 0.0
    for index in range(50):
        user_turn(call, index, "hello")
        begun = time.monotonic()
        assert side.writer.flush(5)
        worst = max(worst, time.monotonic() - begun)
    side.stop()
    assert worst < 0.5
