"""``python -m prefactor_agent.cli``."""

from . import main

main()
