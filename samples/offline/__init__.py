"""A voice call with no account and no network: the models and the caller."""
