"""Ends the Batch jobs of an execution that was stopped, and notifies."""
