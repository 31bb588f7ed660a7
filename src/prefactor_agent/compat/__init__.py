"""The names of ``prefactor_livekit``, for programs that were written for it."""
