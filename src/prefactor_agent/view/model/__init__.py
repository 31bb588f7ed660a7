"""What a call is when it is looked at: turns, silences, voices, stages, summary. Draws nothing."""
