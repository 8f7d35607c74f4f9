"""How a network runs on its device: layer by layer, from a graph for each shape, or compiled.

docs/decisions/0060 says why workers use graphs.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

NetworkCall = Callable[[Tensor], Tensor]
"""A network's forward pass: float (n, 3, h, w) -> cells of the same type."""

BOUND = 1e-3
"""The most by which a graph may differ from its network, of values in 0 to 1: a quarter of a level
of 8 bits."""
MAX_SHAPES = 16
"""How many recordings to keep; the tiles of one picture have at most nine shapes."""
_WARM_UP_CALLS = 3
"""Calls before a recording, in which libraries choose kernels and allocate their workspaces."""

log = logging.getLogger(__name__)


class ExecutionMode(StrEnum):
    """How PyTorch runs a network."""

    EAGER = "eager"
    """Layer by layer."""
    GRAPHS = "graphs"
    """Replayed from a graph that was recorded once for each shape."""
    COMPILED = "compiled"
    """Fused by torch.compile, then replayed from graphs where the device has them."""


@dataclass(frozen=True)
class Recording:
    """A network call of one shape: `replay` computes `result` from what `source` holds.

    The next replay overwrites `result`.
    """

    source: Tensor
    result: Tensor
    replay: Callable[[], None]

    def __call__(self, x: Tensor) -> Tensor:
        self.source.copy_(x)
        self.replay()
        return self.result


Recorder = Callable[[NetworkCall, Tensor], Recording]
"""Records a call of the shape, type and device of the tensor."""


class CudaRecorder:
    """Records CUDA graphs. They share one memory pool, since they run one after the other."""

    def __init__(self) -> None:
        self._pool: Any = torch.cuda.graph_pool_handle()

    def __call__(self, call: NetworkCall, x: Tensor) -> Recording:
        source = x.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP_CALLS):
                call(source)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # thread_local: another thread may free page-locked memory during the capture
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = call(source)
        return Recording(source, result, graph.replay)


def record_plainly(call: NetworkCall, x: Tensor) -> Recording:
    """Stand in for a recorder on devices without graphs: replaying calls the network again."""
    source = x.clone()
    result = call(source).clone()

    def replay() -> None:
        result.copy_(call(source))

    return Recording(source, result, replay)


class RecordedNetwork:
    """A network call that replays a recording, one for each shape.

    The result lies in the recording's memory: use it up before the next call.
    """

    def __init__(self, call: NetworkCall, record: Recorder) -> None:
        self._call, self._record = call, record
        self._recordings: dict[torch.Size, Recording | None] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape not in self._recordings:
            full = len(self._recordings) >= MAX_SHAPES
            self._recordings[x.shape] = None if full else self._record_verified(x)
        recording = self._recordings[x.shape]
        return self._call(x) if recording is None else recording(x)

    def _record_verified(self, x: Tensor) -> Recording | None:
        """Record a call; log a warning and return None if memory runs out or the results differ."""
        try:
            recording = self._record(self._call, x)
            # Neither input is the recorded one, so a result that froze while recording shows.
            differences = [_difference(recording, self._call, sample) for sample in _samples(x)]
        except torch.OutOfMemoryError:
            log.warning("too little memory to record a graph; the network runs layer by layer")
            torch.cuda.empty_cache()
            return None
        if not all(d <= BOUND for d in differences):  # NaN fails this, too
            log.warning(
                "a graph differs from its network by %.5f and %.5f (allowed: %.5f); "
                "the network runs layer by layer", *differences, BOUND,
            )  # fmt: skip
            return None
        if x.is_cuda:
            torch.cuda.empty_cache()  # the graph cannot use the memory of the comparison
        return recording


def _samples(like: Tensor) -> list[Tensor]:
    random = torch.Generator(like.device).manual_seed(0)
    noise = torch.rand(like.shape, generator=random, device=like.device).to(like.dtype)
    return [torch.empty_like(like).copy_(noise), torch.empty_like(like).copy_(1 - noise)]


def _difference(recording: Recording, call: NetworkCall, x: Tensor) -> float:
    found = recording(x).to(torch.float32)
    return float((call(x).to(torch.float32) - found).abs().max())


def prepare_call(network: torch.nn.Module, mode: ExecutionMode, kind: str) -> NetworkCall:
    """Prepare the network's call for that mode on a device of that kind, `cpu` or `cuda`.

    Compiling and recording happen at the first call of each shape.
    """
    if mode is ExecutionMode.EAGER:
        return network
    call: Any = network
    if mode is ExecutionMode.COMPILED:
        call = torch.compile(network, mode="max-autotune-no-cudagraphs", dynamic=False)
    return RecordedNetwork(call, CudaRecorder() if kind == "cuda" else record_plainly)


def default_mode(kind: str) -> ExecutionMode:
    """Return what workers use: graphs on devices that have them."""
    return ExecutionMode.GRAPHS if kind == "cuda" else ExecutionMode.EAGER
