"""What every target of delivery has in common: the thread, its rounds and waits, HTTP."""
