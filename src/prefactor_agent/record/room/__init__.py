"""The room of a session: who comes and leaves, tracks, telephone calls, keys, RPC, the network."""
