"""The facts of the turns: when each began, what was heard, said and played."""
