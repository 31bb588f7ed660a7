"""From the journal to the targets, each in a thread of its own. Knows nothing of LiveKit."""
