"""What makes a release of the package, and shows that it is one: `make dist`."""
