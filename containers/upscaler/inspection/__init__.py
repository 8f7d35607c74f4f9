"""A user's model, looked at once: weights and nothing else, and what planning must know."""
