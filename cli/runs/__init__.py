"""One video through the whole pipeline on this machine: `superres run`."""
