"""Measures, on small pictures of noise, what planning must know of a user's network.

The size rule and number formats come from spandrel, the rest from the network itself.
"""

import math
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from containers.common.runtime.worker import WorkerError
from contracts.models import MAX_HALO, Architecture, Engine, ModelFacts, NumberFormat, SizeRule
from contracts.names import ExitCode

SIDE = 64
"""Side of the picture on which work and memory are counted, in pixels."""
WORKSPACE = 2.0
"""Peak memory of the process over that of the tensors alive at once, since convolutions need
workspace: 1.2 measured with the compact network, 1.8 with RRDB."""
_WINDOWS = ("window_size", "split_size", "ws")
_GRID_MAX = 64
"""Beyond this, the picture that shows the radius would take minutes."""
_PATCH = 16
"""The fewest pixels to change to see how far the change reaches."""
_ODD = (37, 45)


def measure_network(network: Any, *, name: str, sha256: str, licence: str | None) -> ModelFacts:
    """Measure the facts of a spandrel.ImageModelDescriptor from RGB to RGB.

    Raises WorkerError UNSUPPORTED where two runs on one picture differ, or where a result is not
    finite or not `scale` times the picture's size.
    """
    network = network.eval()
    rule = network.size_requirements
    grid = _grid(network)
    _require_reliable(network, name)
    flop, memory = _work(network)
    formats: tuple[NumberFormat, ...] = ("float32",)
    if network.supports_half:
        formats += ("float16",)
    return ModelFacts(
        name=name,
        architecture=Architecture.SPANDREL,
        native_scale=network.scale,
        size=SizeRule(minimum=max(rule.minimum, 1), multiple=rule.multiple_of),
        grid=grid,
        radius=_radius(network, grid),
        flop_per_pixel=flop,
        bytes_per_pixel={Engine.TORCH: math.ceil(memory * WORKSPACE / 100) * 100},
        dtypes=formats,
        weights_sha256=sha256,
        licence=licence,
    )


def _noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Draw (1, 3, height, width) in 0 to 1; the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, height, width), generator=generator)


@torch.inference_mode()
def _require_reliable(network: Any, name: str) -> None:
    picture = _noise(*_ODD)
    once, twice = network(picture.clone()), network(picture.clone())
    size = tuple(side * network.scale for side in _ODD)
    if tuple(once.shape) != (1, 3, *size):
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} makes {tuple(once.shape[2:])} of a picture of {_ODD} pixels, not {size}",
        )
    if not bool(torch.isfinite(once).all()):
        raise WorkerError(ExitCode.UNSUPPORTED, f"{name} gives numbers that are not finite")
    if not torch.equal(once, twice):
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} gives a different picture each time, so shards that two workers make, or one "
            "worker twice, would differ",
        )


def _grid(network: Any) -> int:
    """Return the least common multiple of the windows in which the network groups pixels."""
    sizes = {network.size_requirements.multiple_of}
    for module in network.model.modules():
        sizes.update(_windows(module))
    return math.lcm(*sizes)


def _windows(module: nn.Module) -> Iterator[int]:
    for name in _WINDOWS:
        value = getattr(module, name, ())
        for size in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(size, int) and size > 0:
                yield size


@torch.inference_mode()
def _radius(network: Any, grid: int) -> int | None:
    """Measure how far a change of whole windows reaches, in source pixels; None beyond MAX_HALO.

    Whole windows, since tiles end at their borders.
    """
    if grid > _GRID_MAX:
        return None
    reach = (MAX_HALO // grid + 1) * grid
    patch = -(-_PATCH // grid) * grid
    side = 2 * reach + patch
    before = _noise(side, side)
    after = before.clone()
    after[:, :, reach : reach + patch, reach : reach + patch] = _noise(patch, patch, 1)
    changed = (network(before) != network(after)).any(dim=1)[0]
    found = 0
    for axis in (0, 1):
        places = torch.nonzero(changed.any(dim=axis)).flatten() // network.scale
        found = max(found, reach - int(places.min()), int(places.max()) - (reach + patch - 1))
    return found if found <= MAX_HALO else None


@torch.inference_mode()
def _work(network: Any) -> tuple[float, float]:
    """Count floating-point operations and bytes of tensors alive at once, per source pixel."""
    rule = network.size_requirements
    side = max(SIDE, rule.minimum)
    side = -(-side // rule.multiple_of) * rule.multiple_of
    picture = _noise(side, side)
    with FlopCounterMode(display=False) as counter:
        network(picture)
    with _LiveBytes() as living:
        network(picture)
    return counter.get_total_flops() / side**2, living.peak / side**2


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that operations make, for as long as the tensors live."""

    def __init__(self) -> None:
        super().__init__()
        self.current = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._known:
            return
        self._known.add(address)
        self.current += size
        self.peak = max(self.peak, self.current)
        weakref.finalize(storage, self._remove, address, size)

    def _remove(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.current -= size
