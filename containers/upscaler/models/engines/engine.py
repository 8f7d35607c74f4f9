"""What runs a network: one protocol, so that tiling and the tail are written once."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Engine(Protocol):
    """A loaded network. Use it from the thread that loaded it.

    It turns RGB into `cells` of shape (n, 3 * shuffle**2, y, x), which pixel_shuffle by `shuffle`
    turns into RGB of `scale` times the input's size.
    """

    scale: int
    shuffle: int
    adds_base: bool
    """The result lacks the input enlarged by nearest neighbours: the tail adds it in float32."""
    kind: str
    """`cpu` or `cuda`: where tensors go to."""
    device: str
    """For people, e.g. `cpu` or `NVIDIA L4`."""
    versions: Mapping[str, str]

    def run(self, x: Tensor) -> Tensor | None:
        """Float32 RGB in 0 to 1, (n, 3, h, w) -> float32 cells; None where memory ran out."""
        ...

    def peak_memory_mib(self) -> int:
        """Peak on the device so far; 0 where that is the process's own memory."""
        ...
