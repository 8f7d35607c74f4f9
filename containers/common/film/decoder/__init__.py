"""A confined decoder: its client, its child, and the shared memory between them."""
