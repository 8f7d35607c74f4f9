"""The interface of every engine, so that tiling and the work after the network exist once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor


class NetworkEngine(ABC):
    """A network loaded by a runtime. Use it from the thread that loaded it.

    It turns RGB into `cells` of shape (n, 3 * shuffle**2, y, x), which pixel_shuffle by `shuffle`
    turns into RGB of `scale` times the input's size. A subclass sets all attributes when it is
    constructed.
    """

    scale: int
    """The network's own scale."""
    shuffle: int
    """Side of a cell in pixels; it divides `scale`."""
    adds_base: bool
    """Whether the caller must add the input, enlarged by nearest neighbour, to the result."""
    kind: str
    """`cpu` or `cuda`: where the tensors that `run` takes must be."""
    device: str
    """Name of the device for people, such as `cpu` or `NVIDIA L4`."""
    versions: Mapping[str, str]
    """Version by name of each library that computes the numbers."""

    @abstractmethod
    def run(self, x: Tensor) -> Tensor | None:
        """Compute the cells of RGB pictures; return None if memory ran out.

        `x` is float32 of shape (n, 3, h, w), black 0 and white 1. The cells are float32. They may
        lie in memory that the next call fills again, so use them up before it.
        """

    @abstractmethod
    def peak_memory_mib(self) -> int:
        """Return the device's peak memory so far, in MiB; 0 on processors."""
