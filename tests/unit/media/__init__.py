"""Tests of `containers/media/`; `jobs` runs all its stages, `hostile` breaks films."""
