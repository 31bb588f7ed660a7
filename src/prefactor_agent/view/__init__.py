"""Ways to look at a call, each made from the journal alone."""
