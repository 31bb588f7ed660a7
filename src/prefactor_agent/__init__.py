"""Tracing for LiveKit voice agents."""
