"""The frame around every worker: errors, storage, metrics."""
