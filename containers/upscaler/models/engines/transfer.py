"""Copies tensors to the device and back while it computes: three streams, page-locked memory.

On processors nothing is copied, and a clock replaces the events.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor


class Arrival:
    """A tensor that is being copied to the host."""

    def __init__(self, host: Tensor, copied: torch.cuda.Event | None) -> None:
        self._host = host
        self._copied = copied

    def wait(self) -> None:
        """Wait until the copy has ended."""
        if self._copied is not None:
            self._copied.synchronize()

    def tensor(self) -> Tensor:
        """Wait, then return the tensor on the host; its memory is reused once no one holds it."""
        self.wait()
        return self._host


class Transfer:
    """Streams of one device: copies in both directions run while it computes.

    Page-locked memory comes from PyTorch's caching allocator, which reuses a block once it is freed
    and the copies from it have ended. So no block is locked twice, and we need not count uses.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._spans: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()
        self._busy = 0.0
        if self._cuda:
            self._up, self._compute, self._down = (torch.cuda.Stream(device) for _ in range(3))

    @property
    def in_flight(self) -> int:
        """How many batches to have in flight: one uploading, one computing, one downloading."""
        return 3 if self._cuda else 1

    def upload(self, host: Tensor) -> Tensor:
        """Start to copy a host tensor; return the one on the device, for use within `computing`."""
        if not self._cuda:
            return host
        locked = torch.empty(host.shape, dtype=host.dtype, pin_memory=True).copy_(host)
        with torch.cuda.stream(self._up):
            there = locked.to(self._device, non_blocking=True)
            arrived = self._up.record_event()
        self._compute.wait_event(arrived)
        there.record_stream(self._compute)
        return there

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Run the block's work on the device in order, and count its time as busy."""
        if not self._cuda:
            began = time.perf_counter()
            try:
                yield
            finally:
                self._busy += time.perf_counter() - began
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # weights and tables were copied on the default stream; ours would not wait for it
        self._compute.wait_stream(torch.cuda.default_stream(self._device))
        with torch.cuda.stream(self._compute):
            begin.record()
            yield
            end.record()
        self._spans.append((begin, end))

    def download(self, tensor: Tensor) -> Arrival:
        """Start to copy a tensor that `computing` made to the host."""
        if not self._cuda:
            return Arrival(tensor, None)
        self._down.wait_stream(self._compute)
        with torch.cuda.stream(self._down):
            host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            host.copy_(tensor, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
        tensor.record_stream(self._down)
        return Arrival(host, copied)

    def busy_seconds(self) -> float:
        """Return how long the device has computed, over all `computing` blocks that have ended."""
        while self._spans and self._spans[0][1].query():
            begin, end = self._spans.popleft()
            self._busy += begin.elapsed_time(end) / 1000
        return self._busy
