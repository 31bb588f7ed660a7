"""Calls in a real room with no account: a LiveKit server on loopback, and a caller."""
