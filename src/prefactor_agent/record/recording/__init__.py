"""The recording of a call's sound: taken on the event loop by reference, written on a thread."""
