"""What a deployed stack is told: environment variables, images, metrics."""
