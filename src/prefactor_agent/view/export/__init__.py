"""Calls as files for other programs."""
