"""What is kept of calls, and how it is asked for, wherever it is kept."""
