"""One module for each command: its options, its call, and how its result reads."""
