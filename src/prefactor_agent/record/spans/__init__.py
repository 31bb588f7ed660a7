"""The tree of spans of one session, and the streams of chunks in them."""
