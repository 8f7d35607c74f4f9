"""The interface of every model: pictures in, larger pictures out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from containers.common.film.pictures import Picture

DeviceChoice = Literal["auto", "cpu", "cuda"]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Pending:
    """Pictures that a device is still computing."""

    pictures: Callable[[], list[Picture]]
    """Waits for the device, then does the rest of the work on the host. Call it once."""
    wait: Callable[[], None] = _nothing
    """Waits for the device and does nothing else."""


class Upscaler(ABC):
    """A model loaded on its device. Use it from the thread that loaded it.

    A subclass sets `device` and `versions` when it is constructed.
    """

    device: str
    """Name of the device for people, such as `cpu` or `NVIDIA L4`."""
    versions: Mapping[str, str]
    """Version by name of each library that computes the pixels."""

    @property
    @abstractmethod
    def tile(self) -> int:
        """Side of the tiles in use, in source pixels; 0 if pictures are computed whole."""

    @property
    def in_flight(self) -> int:
        """How many batches to begin before asking for the pictures of the first; at least 1."""
        return 1

    @property
    def repeats(self) -> bool:
        """Whether equal pictures always have equal results, whatever their timestamps."""
        return True

    @abstractmethod
    def device_memory_mib(self) -> int:
        """Return the device's peak memory so far, in MiB; 0 on processors.

        On a processor the peak is that of the process, which the worker reads itself.
        """

    @abstractmethod
    def busy_seconds(self) -> float:
        """Return how long the device has computed so far, over all batches that have finished."""

    @abstractmethod
    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """Start to enlarge one batch to the size and pixel format of the model's Target.

        The batch holds at least 1 and at most `Inference.batch` pictures, all of one size and
        pixel format. The results keep the order and the timestamps of the pictures. Batches
        finish in the order in which they began.
        """

    def upscale(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Begin a batch and wait for its pictures."""
        return self.begin(pictures).pictures()
