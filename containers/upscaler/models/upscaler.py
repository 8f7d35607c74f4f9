"""What every model is to its callers: pictures in, larger pictures out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from containers.common.film.pictures import Picture

DeviceChoice = Literal["auto", "cpu", "cuda"]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Pending:
    """Pictures that a device is at work on."""

    pictures: Callable[[], list[Picture]]
    """Ask once: waits, then does what is left to do on the host."""
    wait: Callable[[], None] = _nothing


class Upscaler(Protocol):
    """A loaded model on its device. Use it from the thread that loaded it."""

    device: str
    """For people, e.g. `cpu` or `NVIDIA L4`."""
    versions: Mapping[str, str]
    """Of the libraries that compute the pixels."""

    @property
    def tile(self) -> int:
        """Side of the tiles in use; 0: none."""
        ...

    def device_memory_mib(self) -> int:
        """Peak on the device so far; 0 where that is the process's own memory."""
        ...

    @property
    def in_flight(self) -> int:
        """Batches worth beginning before the first one's pictures are asked for."""
        return 1

    @property
    def repeats(self) -> bool:
        """Whether equal pictures have equal results, whatever their timestamps."""
        return True

    def busy_seconds(self) -> float:
        """How long the device has computed, of all batches whose pictures were asked for."""
        ...

    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """Enlarge 1 to `batch` pictures, all of one size and format, to what the target says.

        Same order, same timestamps. Batches are done in the order in which they were begun.
        """
        ...

    def upscale(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Begin a batch and wait for it."""
        return self.begin(pictures).pictures()
