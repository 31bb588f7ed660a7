"""Prefactor as a target: how a call is registered, and what is sent of its spans."""
