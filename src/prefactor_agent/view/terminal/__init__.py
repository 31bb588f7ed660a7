"""Calls in the terminal: lists, the waterfall, statistics."""
