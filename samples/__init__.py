"""An agent to start from, and a call with it that needs no network."""
