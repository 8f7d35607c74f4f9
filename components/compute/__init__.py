"""AWS Batch and the instances behind it."""
