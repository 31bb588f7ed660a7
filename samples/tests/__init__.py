"""Tests of the sample agent, as its engineers would write them."""
