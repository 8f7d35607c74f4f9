"""A worker's processors: the machine's, or its container's share of them."""

import logging
import os
from pathlib import Path

import pytest

from containers.upscaler.host.processors import available_processors, warn_of_crowding

MACHINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu.max": "max 100000"}, MACHINE),
        ({"cpu.max": "9900000 100000"}, MACHINE),
        ({"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, 0.25),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, MACHINE),
        ({}, MACHINE),
    ],
)
def test_a_containers_share_counts(tmp_path: Path, files: dict[str, str], share: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert available_processors(tmp_path) == share


def test_more_threads_than_processors_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    with caplog.at_level(logging.WARNING):
        warn_of_crowding(1, tmp_path)
    (message,) = caplog.messages
    assert message.startswith(
        "the job was planned for 1 threads, but this worker has 0.50 processors"
    )
    caplog.clear()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    warn_of_crowding(1, tmp_path)
    assert caplog.messages == []
