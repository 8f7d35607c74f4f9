"""Whole jobs on the embedded AWS, from upload to result."""
