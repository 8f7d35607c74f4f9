"""Writing the result: shards joined, tracks and their labels, interleaved."""
