"""Answers the workflow when a Batch job has ended."""
