"""Whether a film is worth any work: its format, size, price and picture."""
