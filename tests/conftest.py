"""What all tests share."""

import logging
import os
import signal
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def no_unexpected_error(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """A log line at ERROR or above fails the test, unless it is marked `logs_errors`.

    asyncio's are left aside: they come when a Pulumi program that an earlier test saw refused is
    collected as garbage.
    """
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    found = [
        f"{record.name}: {record.getMessage()}"
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR and record.name != "asyncio"
    ]
    if found:
        pytest.fail("unexpected ERROR in the log: " + "; ".join(found), pytrace=False)
