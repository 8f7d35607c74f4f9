"""The worker's machine: memory, allocator, processors."""
