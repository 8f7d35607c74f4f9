"""Buckets and the job table."""
