"""A whole voice call with no account, no key and no network: the agent, its models and its caller.

``prefactor-agent demo`` holds it. It wants ``pip install 'prefactor-agent[offline]'``."""
