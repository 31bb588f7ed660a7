"""Tool calls: of traced tools, from LiveKit's events, and of tools that a provider runs."""
