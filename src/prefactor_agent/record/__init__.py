"""What the session heard, said and called, recorded in memory. Knows LiveKit, knows no disk and no network."""
