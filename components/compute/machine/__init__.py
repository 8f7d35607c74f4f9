"""What an instance is, may do, and does when it starts."""
