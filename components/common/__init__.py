"""What all components share: policies, roles, keys, logs, tags."""
