"""Where instances stand."""
