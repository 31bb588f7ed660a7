"""How loud each voice is, and where it can be heard."""
