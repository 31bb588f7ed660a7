"""``prefactor-agent push``, without its words."""

from __future__ import annotations

from prefactor_agent.deliver.common.push import Pushed, push
from prefactor_agent.deliver.common.target import Target
from support.waiting import PATIENCE


async def pushed(target: Target) -> Pushed:
    """Deliver what is left, as a process that has never seen the call."""
    target.prepare()
    return await push(target, patience=PATIENCE)
