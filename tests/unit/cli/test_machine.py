"""Cores: the machine's, or those that a container's share of time pays for."""

import os
from pathlib import Path

import pytest

from cli.embedded import overrides
from cli.machine import cores

MACHINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", MACHINE),
        ("99900000 100000", MACHINE),
        (None, MACHINE),
    ],
)
def test_a_containers_share_counts(tmp_path: Path, quota: str | None, count: int) -> None:
    path = tmp_path / "cpu.max"
    if quota is not None:
        path.write_text(quota + "\n")
    assert cores(path) == count


def test_a_run_plans_with_the_threads_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.embedded.cores", lambda: 6)
    settings = overrides(2, "float32")
    assert settings["inference_threads"] == settings["encoder_threads"] == "3"
