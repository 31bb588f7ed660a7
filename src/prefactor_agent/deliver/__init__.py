"""From the journal to Prefactor, in a thread of its own. Knows nothing of LiveKit."""
