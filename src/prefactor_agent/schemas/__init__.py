"""The span types: their names, what they hold, and how they are declared to Prefactor."""
