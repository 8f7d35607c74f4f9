"""What this machine has to offer, and the stack settings that follow from it."""

import os
from pathlib import Path

from cli.models.weights import weights_dir
from contracts.models import Engine

PRECISIONS = ("auto", "float32", "bfloat16")
CPU_GFLOPS_PER_THREAD = {"float32": 100.0, "bfloat16": 500.0}
"""Measured with animevideov3: float32 on AVX2, bfloat16 on AMX. Only sizes runs and time limits."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's share: microseconds of processor time, and the period they are granted for."""


def cores(quota: Path = _QUOTA) -> int:
    """Processors that we may use, at least one.

    In a container that gets less time than that: as many as its time pays for.
    """
    available = len(os.sched_getaffinity(0))
    try:
        time, period = quota.read_text().split()
    except OSError:
        return available
    return available if time == "max" else max(1, min(available, int(time) // int(period)))


def inference_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """bfloat16 where the processor multiplies it in hardware (AMX), else float32.

    Four times as fast there, at a bounded loss (docs/decisions/0006); elsewhere it would be slower.
    """
    try:
        return "bfloat16" if " amx_bf16" in cpuinfo.read_text() else "float32"
    except OSError:
        return "float32"


def inference_memory_mib(workers: int) -> int:
    """MiB for each worker's network: a third of this machine's memory, shared by the workers.

    Of the memory installed, not of what is free now: it decides the tiles, which must not change
    from run to run.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, total // 3 // workers // 1024**2)


def machine_settings(workers: int, precision: str) -> dict[str, str]:
    """Stack settings that fit this machine: `workers` children share its cores.

    `precision` is one of PRECISIONS.
    """
    threads = max(1, cores() // workers)
    dtype = inference_dtype() if precision == "auto" else precision
    return {
        "inference_dtype": dtype,
        "inference_engine": Engine.NCNN.value,
        "inference_memory_mib": str(inference_memory_mib(workers)),
        "worker_parallelism": str(workers),
        "worker_vcpus": str(threads),
        "inference_threads": str(threads),
        "encoder_threads": str(threads),
        "worker_gflops": str(CPU_GFLOPS_PER_THREAD[dtype] * threads),
        "model_dir": str(weights_dir()),
    }
