"""The SQLite file that a call is kept in."""
