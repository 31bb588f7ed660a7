"""`python -m samples.server`, where it cannot start."""

import socket

import pytest
import typer
from samples.offline.processes import free_port, is_free
from samples.server import serve


@pytest.mark.parametrize("option", ["--port", "--models-port"])
def test_a_port_in_use_is_reported_in_one_line(option: str, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = (taken, free_port()) if option == "--port" else (free_port(), taken)
        with pytest.raises(typer.Exit) as left:
            serve(*ports)
        assert not is_free(taken)
    assert left.value.exit_code == 1
    assert capsys.readouterr().out == f"Port {taken} is in use: choose another with {option}\n"
    assert is_free(taken)
