"""How a network runs on its device: layer by layer, as a graph recorded once a shape, or compiled.

docs/decisions/0060 says why graphs are what workers use, and that no GPU has measured it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

Call = Callable[[Tensor], Tensor]

BOUND = 1e-3
"""Of values in 0 to 1: a quarter of an 8-bit level, the most by which a graph may differ."""
MOST_SHAPES = 16
"""Recordings to keep: tiles of one picture have at most nine."""
_WARM_UP = 3
"""Calls before a recording, in which libraries choose kernels and take their workspaces."""

log = logging.getLogger(__name__)


class Execution(StrEnum):
    EAGER = "eager"
    GRAPHS = "graphs"
    COMPILED = "compiled"
    """By torch.compile: fused, and then recorded where the device has graphs."""


@dataclass(frozen=True)
class Recording:
    """A call of one shape: fill `source`, replay, read `result`, which the next replay fills anew.

    `call` would have given `result` for `source`.
    """

    source: Tensor
    result: Tensor
    replay: Callable[[], None]

    def __call__(self, x: Tensor) -> Tensor:
        self.source.copy_(x)
        self.replay()
        return self.result


Record = Callable[[Call, Tensor], Recording]


class CudaRecorder:
    """Records CUDA graphs that share one pool of memory, for they run one after the other."""

    def __init__(self) -> None:
        self._pool: Any = torch.cuda.graph_pool_handle()

    def __call__(self, call: Call, x: Tensor) -> Recording:
        source = x.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                call(source)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # thread_local: another thread may just then give page-locked memory back
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = call(source)
        return Recording(source, result, graph.replay)


def record_plainly(call: Call, x: Tensor) -> Recording:
    """The twin for devices without graphs: the same memory filled anew, the call repeated."""
    source = x.clone()
    result = call(source).clone()

    def replay() -> None:
        result.copy_(call(source))

    return Recording(source, result, replay)


class Graphs:
    """A call by its recordings. The result is the graph's own memory: use it up before the next."""

    def __init__(self, call: Call, record: Record) -> None:
        self._call, self._record = call, record
        self._recordings: dict[torch.Size, Recording | None] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape not in self._recordings:
            full = len(self._recordings) >= MOST_SHAPES
            self._recordings[x.shape] = None if full else self._verified(x)
        recording = self._recordings[x.shape]
        return self._call(x) if recording is None else recording(x)

    def _verified(self, x: Tensor) -> Recording | None:
        """None where memory is short or the recording errs: then layer by layer, and said so."""
        try:
            recording = self._record(self._call, x)
            # Two inputs that are not the recorded one: a branch that froze shows.
            differences = [_difference(recording, self._call, sample) for sample in _samples(x)]
        except torch.OutOfMemoryError:
            log.warning("too little memory to record a graph; the network runs layer by layer")
            torch.cuda.empty_cache()
            return None
        if not all(d <= BOUND for d in differences):  # which NaN is not either
            log.warning(
                "a graph differs from its network by %.5f and %.5f, allowed are %.5f; "
                "the network runs layer by layer", *differences, BOUND,
            )  # fmt: skip
            return None
        if x.is_cuda:
            torch.cuda.empty_cache()  # what the comparison took, the graph cannot use
        return recording


def _samples(like: Tensor) -> list[Tensor]:
    random = torch.Generator(like.device).manual_seed(0)
    noise = torch.rand(like.shape, generator=random, device=like.device).to(like.dtype)
    return [torch.empty_like(like).copy_(noise), torch.empty_like(like).copy_(1 - noise)]


def _difference(recording: Recording, call: Call, x: Tensor) -> float:
    found = recording(x).to(torch.float32)
    return float((call(x).to(torch.float32) - found).abs().max())


def executed(network: torch.nn.Module, execution: Execution, kind: str) -> Call:
    """The network as a call of that kind, on `cpu` or `cuda`."""
    if execution is Execution.EAGER:
        return network
    call: Any = network
    if execution is Execution.COMPILED:
        call = torch.compile(network, mode="max-autotune-no-cudagraphs", dynamic=False)
    return Graphs(call, CudaRecorder() if kind == "cuda" else record_plainly)


def usual(kind: str) -> Execution:
    """What workers use: graphs where there are any."""
    return Execution.GRAPHS if kind == "cuda" else Execution.EAGER
