"""Steps cut time exactly, whatever their moments are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversation.turns import moments, present
from prefactor_agent.conversation.split import Step, split


@given(present, present, st.lists(st.builds(Step, st.sampled_from("abc"), moments, moments)))
def test_any_steps_cut_any_time_exactly(start: int, end: int, steps: list[Step]):
    stages = split(start, end, steps)
    assert sum(us for _, us in stages) == max(0, end // 1000 - start // 1000)
    assert all(us > 0 for _, us in stages)
