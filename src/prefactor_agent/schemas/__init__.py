"""The span types: what they are called, what they hold, and how Prefactor is told."""
