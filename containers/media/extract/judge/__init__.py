"""Is this film worth any work: its format, size, price and picture."""
