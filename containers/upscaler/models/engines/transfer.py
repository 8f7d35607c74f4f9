"""Tensors to the device and back while it computes: three streams, and memory that buses can read.

On processors each of these is the plain thing: no copy, a clock instead of events.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor


class Arrival:
    """A tensor on its way to the host."""

    def __init__(self, host: Tensor, copied: torch.cuda.Event | None) -> None:
        self._host = host
        self._copied = copied

    def wait(self) -> None:
        """Return when the copy has ended."""
        if self._copied is not None:
            self._copied.synchronize()

    def tensor(self) -> Tensor:
        """On the host; waits. Its memory is used again when nobody holds it any more."""
        self.wait()
        return self._host


class Transfer:
    """Streams of one device: copies either way run beside what is computed.

    Page-locked memory comes from PyTorch's caching allocator, which hands a block out anew once it
    is freed and the copies from it have ended: no block is locked twice, none needs our counting.
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
        """Batches worth having under way: one going up, one in the device, one coming down."""
        return 3 if self._cuda else 1

    def upload(self, host: Tensor) -> Tensor:
        """The tensor on the device, for use within `computing`."""
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
        """What is asked of the device within this block runs in order, and counts as its work."""
        if not self._cuda:
            began = time.perf_counter()
            try:
                yield
            finally:
                self._busy += time.perf_counter() - began
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # weights and tables were put on the default stream, for which ours would not wait
        self._compute.wait_stream(torch.cuda.default_stream(self._device))
        with torch.cuda.stream(self._compute):
            begin.record()
            yield
            end.record()
        self._spans.append((begin, end))

    def download(self, tensor: Tensor) -> Arrival:
        """Start the copy of what `computing` made."""
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
        """How long the device has computed, all blocks together that have ended."""
        while self._spans and self._spans[0][1].query():
            begin, end = self._spans.popleft()
            self._busy += begin.elapsed_time(end) / 1000
        return self._busy
