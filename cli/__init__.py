"""The `superres` command: the only place that prints for people."""
