"""Networks in ncnn, on processors: Winograd convolutions in float32."""

import importlib
import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from containers.common.runtime.worker import WorkerError
from containers.upscaler.models.engines.networks import SCALE
from containers.upscaler.weights import ncnn_writer
from contracts.names import ExitCode

PACKAGE = "ncnn"
_OUT_OF_MEMORY = -100
"""ncnn's return value where an allocation failed (its net.h)."""
_NARROW = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")


class NcnnEngine:
    """See engine.Engine."""

    def __init__(self, compact: bool, weights: Mapping[str, Tensor], threads: int) -> None:
        ncnn = _package()
        tensors = {name: tensor.numpy() for name, tensor in weights.items()}
        write = ncnn_writer.compact if compact else ncnn_writer.rrdb
        self._ncnn = ncnn
        self._net = _loaded(ncnn, *write(tensors), threads)
        self.scale = SCALE
        self.shuffle = SCALE if compact else 1
        self.adds_base = compact
        self.kind = self.device = "cpu"
        self.versions: Mapping[str, str] = {
            "ncnn": importlib.metadata.version(PACKAGE),
            "torch": torch.__version__,  # which computes the tail
        }

    def run(self, x: Tensor) -> Tensor | None:
        """See Engine.run."""
        done: list[np.ndarray] = []
        try:
            for picture in x:
                cells = self._cells(np.ascontiguousarray(picture.numpy()))
                if cells is None:
                    return None
                done.append(cells)
            return torch.from_numpy(np.stack(done) if len(done) > 1 else done[0][None])
        except MemoryError:
            return None

    def _cells(self, planes: np.ndarray) -> np.ndarray | None:
        extractor = self._net.create_extractor()
        extractor.set_light_mode(True)
        extractor.input(ncnn_writer.INPUT, self._ncnn.Mat(planes))
        code, cells = extractor.extract(ncnn_writer.OUTPUT)
        if code == _OUT_OF_MEMORY or cells.empty():
            return None
        if code:
            raise RuntimeError(f"ncnn failed with {code}")
        return np.array(cells)

    def peak_memory_mib(self) -> int:
        """See Engine.peak_memory_mib."""
        return 0


def _package() -> Any:
    try:
        return importlib.import_module(PACKAGE)  # brings no types
    except ImportError as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned for the engine {PACKAGE}, which this worker does not have "
            f"({error}); run: pip install 'superres[ncnn]', or plan it with another "
            "inference_engine",
        ) from error


def _loaded(ncnn: Any, param: str, weights: bytes, threads: int) -> Any:
    """A net in float32 throughout. Its reader wants files; these have no name on any disk."""
    net = ncnn.Net()
    for option in _NARROW:
        setattr(net.opt, f"use_{option}", False)
    net.opt.num_threads = threads
    descriptor = os.memfd_create("superres-weights")
    try:
        os.write(descriptor, weights)
        if net.load_param_mem(param) or net.load_model(f"/proc/self/fd/{descriptor}"):
            raise RuntimeError("ncnn cannot read the network that was written for it")
    finally:
        os.close(descriptor)
    return net
