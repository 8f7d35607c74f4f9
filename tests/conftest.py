"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Several test processes share the cores: a thread that waits for its peers must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell ignores Ctrl-C in what it starts in the background; our children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are shared and noisy: no example is judged by its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a CUDA device where there is none."""
    if Path("/dev/nvidiactl").exists():
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]
