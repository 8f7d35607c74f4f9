"""One pass over the packets: timestamps, damage, checksums."""
