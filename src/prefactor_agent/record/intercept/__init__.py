"""Traced nodes and hooks, and streams that are observed while they pass."""
