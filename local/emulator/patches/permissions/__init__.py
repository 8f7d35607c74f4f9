"""Permissions that AWS checks and ministack does not."""

from local.emulator.patches.permissions import (
    access_log,
    events,
    functions,
    keys,
    requests,
    workflows,
)

__all__ = ["access_log", "events", "functions", "keys", "requests", "workflows"]
