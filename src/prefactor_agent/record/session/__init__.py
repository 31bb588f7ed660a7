"""The session around its turns: job, room, hooks, handoffs, errors, budgets, and its end."""
