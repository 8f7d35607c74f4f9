"""Repairs, on a schedule, what lost events left undone, and measures running jobs."""
