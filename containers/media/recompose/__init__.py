"""Recompose: join the shards, mux what was set aside, prove the result."""
