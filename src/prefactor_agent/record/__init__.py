"""What the session heard, said and called, in memory. Knows LiveKit; no disk, no network."""
