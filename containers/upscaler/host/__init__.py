"""The worker's machine: its memory, its allocator, its processors."""
