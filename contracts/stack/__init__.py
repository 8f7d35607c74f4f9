"""What a deployed stack and its program share: environment variables, images, metrics."""
