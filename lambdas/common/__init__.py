"""What all functions share: their environment, AWS clients, logs and records."""
