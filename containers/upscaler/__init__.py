"""The upscaler: decode a shard's frames, enlarge them, encode them, commit the shard."""
