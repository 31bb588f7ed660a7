"""The session around its turns: job, hooks, handoffs, errors, budgets, pickup, and its end."""
