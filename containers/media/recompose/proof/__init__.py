"""The finished file read back and held against the plan."""
