"""Figures over many calls: statistics, what differs between two versions, the overview. Draws
nothing."""
