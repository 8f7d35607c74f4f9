"""Submits a stage's Batch job: one handler for all three stages."""
