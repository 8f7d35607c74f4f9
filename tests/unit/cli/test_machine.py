"""What this machine offers a run, and the settings that follow from it."""

import os
from pathlib import Path

import pytest

from cli.stacks.machine import cores, inference_dtype, machine_settings

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
    monkeypatch.setattr("cli.stacks.machine.cores", lambda: 6)
    settings = machine_settings(2, "float32")
    assert settings["inference_threads"] == settings["encoder_threads"] == "3"


def test_workers_share_the_cores() -> None:
    one, many = machine_settings(1, "auto"), machine_settings(10_000, "float32")
    assert many["inference_dtype"] == "float32"
    assert int(one["worker_vcpus"]) >= 1
    assert many["worker_vcpus"] == "1"
    assert many["worker_parallelism"] == "10000"


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [("flags : fma avx2 amx_bf16 amx_tile\n", "bfloat16"), ("flags : fma avx2\n", "float32")],
)
def test_bfloat16_is_chosen_only_where_the_processor_has_it(
    tmp_path: Path, flags: str, dtype: str
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(flags)
    assert inference_dtype(cpuinfo) == dtype
    assert inference_dtype(tmp_path / "none") == "float32"
