"""Networks in ncnn, on processors: Winograd convolutions in float32 (https://arxiv.org/abs/1509.09308)."""

import importlib
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from containers.common.runtime.worker import WorkerError
from containers.upscaler.models.engines.network_engine import NetworkEngine
from containers.upscaler.weights.ncnn_writer import INPUT, OUTPUT, NcnnNetwork
from contracts.names import ExitCode

PACKAGE = "ncnn"
_OUT_OF_MEMORY = -100
"""ncnn's return value where an allocation failed (its net.h)."""
_NARROW_OPTIONS = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")


class NcnnEngine(NetworkEngine):
    """Runs a network that `ncnn_writer` wrote, on `threads` threads.

    Raises WorkerError UNSUPPORTED where ncnn is not installed.
    """

    def __init__(self, network: NcnnNetwork, threads: int) -> None:
        self._ncnn = _import_ncnn()
        self._net = _load(self._ncnn, network, threads)
        self.scale = network.scale
        self.shuffle = network.shuffle
        self.adds_base = network.adds_base
        self.kind = self.device = "cpu"
        self.versions: Mapping[str, str] = {
            "ncnn": importlib.metadata.version(PACKAGE),
            "torch": torch.__version__,  # computes what follows the network
        }

    def run(self, x: Tensor) -> Tensor | None:
        """See NetworkEngine.run."""
        done: list[np.ndarray] = []
        try:
            for picture in x:
                cells = self._compute(np.ascontiguousarray(picture.numpy()))
                if cells is None:
                    return None
                done.append(cells)
            return torch.from_numpy(np.stack(done) if len(done) > 1 else done[0][None])
        except MemoryError:
            return None

    def _compute(self, planes: np.ndarray) -> np.ndarray | None:
        """(3, h, w) -> (channels, y, x), both float32; None if memory ran out."""
        extractor = self._net.create_extractor()
        extractor.set_light_mode(True)
        extractor.input(INPUT, self._ncnn.Mat(planes))
        code, cells = extractor.extract(OUTPUT)
        if code == _OUT_OF_MEMORY or cells.empty():
            return None
        if code:
            raise RuntimeError(f"ncnn failed with {code}")
        return np.array(cells)

    def peak_memory_mib(self) -> int:
        """See NetworkEngine.peak_memory_mib."""
        return 0


def _import_ncnn() -> Any:
    try:
        return importlib.import_module(PACKAGE)  # it has no type stubs
    except ImportError as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned for the engine {PACKAGE}, which this worker does not have "
            f"({error}); run: pip install 'superres[ncnn]', or plan it with another "
            "inference_engine",
        ) from error


def _load(ncnn: Any, network: NcnnNetwork, threads: int) -> Any:
    """Load a net that computes in float32 throughout.

    ncnn reads weights from files only, so they go through an anonymous file in memory.
    """
    net = ncnn.Net()
    for option in _NARROW_OPTIONS:
        setattr(net.opt, f"use_{option}", False)
    net.opt.num_threads = threads
    descriptor = os.memfd_create("superres-weights")
    try:
        os.write(descriptor, network.weights)
        if net.load_param_mem(network.param) or net.load_model(f"/proc/self/fd/{descriptor}"):
            raise RuntimeError("ncnn cannot read the network that was written for it")
    finally:
        os.close(descriptor)
    return net
