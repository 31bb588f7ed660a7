"""What makes the documentation site of `docs/`, and looks at what was made: `make docs`."""
