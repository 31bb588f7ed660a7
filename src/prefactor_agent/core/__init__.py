"""What every floor uses: spans, clock, ids, plain values, the guard. Imports nothing of ours."""
