"""The shop's agent, with a process that waits for each call, also in `dev`."""

from livekit.agents import cli
from samples.agent import server

server.update_options(num_idle_processes=1)

if __name__ == "__main__":
    cli.run_app(server)
