"""LiveKit's objects read as plain data, and its private names."""
