"""An Upscaler that runs a network: pictures are tiled here and composed in device/."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from containers.common.film.pictures import Picture
from containers.common.runtime.worker import WorkerError
from containers.upscaler.device import packing
from containers.upscaler.device.compositing import Compositor, SourceBatch
from containers.upscaler.device.target import Target
from containers.upscaler.host.memory import available_bytes
from containers.upscaler.models.engines.execution import ExecutionMode
from containers.upscaler.models.engines.network_engine import NetworkEngine
from containers.upscaler.models.engines.torch_engine import (
    TorchEngine,
    device_kind,
    fix_numerics,
)
from containers.upscaler.models.engines.transfer import Transfer
from containers.upscaler.models.networks.network import CatalogueNetwork
from containers.upscaler.models.networks.real_esrgan import Compact, RRDBNet
from containers.upscaler.models.number_formats import require_dtype
from containers.upscaler.models.tiling import Tile, plan_tiles
from containers.upscaler.models.upscaler import DeviceChoice, Pending, Upscaler
from containers.upscaler.weights.cache import read_stored_weights, read_weights
from contracts.film.manifest import Inference
from contracts.models import Architecture, Engine, ModelName
from contracts.names import ExitCode
from contracts.planning import plan_tile, smallest_tile

log = logging.getLogger(__name__)


def load_network(
    inference: Inference,
    target: Target,
    *,
    model_dir: Path,
    device: DeviceChoice,
    mode: ExecutionMode | None = None,
) -> "NetworkUpscaler":
    """Load a network; see load_upscaler, which workers call. Benchmarks of torch give a `mode`."""
    kind = device_kind(device)
    require_dtype(inference.facts, inference.engine, kind=kind, dtype=inference.dtype)
    fix_numerics(inference.threads)
    if inference.facts.architecture is Architecture.SPANDREL:
        engine = _load_users_network(inference, model_dir, kind)
    else:
        engine = _load_catalogue_network(inference, model_dir, kind, mode)
    return NetworkUpscaler(engine, inference, target)


def _load_users_network(inference: Inference, model_dir: Path, kind: str) -> NetworkEngine:
    from containers.upscaler.models.engines.spandrel_engine import SpandrelEngine

    weights = safetensors.torch.load(read_stored_weights(model_dir, inference.facts))
    return SpandrelEngine(weights, inference.facts, dtype=inference.dtype, kind=kind)


def _load_catalogue_network(
    inference: Inference, model_dir: Path, kind: str, mode: ExecutionMode | None
) -> NetworkEngine:
    model = ModelName(inference.model)
    weights = safetensors.torch.load(read_weights(model_dir, model))
    if inference.engine is Engine.NCNN:
        from containers.upscaler.models.engines.ncnn_engine import NcnnEngine
        from containers.upscaler.weights.ncnn_writer import write_network

        tensors = {name: tensor.numpy() for name, tensor in weights.items()}
        network = write_network(inference.facts.architecture, tensors)
        return NcnnEngine(network, inference.threads)
    with torch.device("meta"):
        network = _build(model)
    return TorchEngine(network, weights, dtype=inference.dtype, kind=kind, mode=mode)


def _build(model: ModelName) -> CatalogueNetwork:
    match model:
        case ModelName.ANIMEVIDEOV3:
            return Compact()
        case ModelName.X4PLUS_ANIME:
            return RRDBNet(blocks=6)
        case ModelName.X4PLUS:
            return RRDBNet(blocks=23)
        case ModelName.LANCZOS:
            raise ValueError("lanczos has no network")


@dataclass
class TilesInUse:
    """The tiles in use: as planned, or smaller where memory is short. In source pixels."""

    side: int
    """0 if pictures are computed whole."""
    halo: int
    splits: int = 0
    """How often the tiles were made smaller."""


class NetworkUpscaler(Upscaler):
    """Runs a network at its own scale, between the Compositor's conversion and composition."""

    def __init__(self, engine: NetworkEngine, inference: Inference, target: Target) -> None:
        self.engine = engine
        self._device = torch.device(engine.kind)
        self._transfer = Transfer(self._device)
        self._inference = inference
        self._facts = inference.facts
        self._target = target
        self._compositor: Compositor | None = None
        self._composed_kind: tuple[str, int, int] | None = None
        self._memory_checked = False
        self.tiling = TilesInUse(inference.tile, inference.halo)
        self.device = engine.device
        self.versions: Mapping[str, str] = engine.versions

    @property
    def tile(self) -> int:
        """See Upscaler.tile."""
        return self.tiling.side

    def device_memory_mib(self) -> int:
        """See Upscaler.device_memory_mib."""
        return self.engine.peak_memory_mib()

    @property
    def in_flight(self) -> int:
        """See Upscaler.in_flight."""
        return self._transfer.in_flight

    @property
    def repeats(self) -> bool:
        """See Upscaler.repeats. Grain differs in every picture: it would show if it did not."""
        return self._inference.grain is None

    def busy_seconds(self) -> float:
        """See Upscaler.busy_seconds."""
        return self._transfer.busy_seconds()

    @torch.inference_mode()
    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """See Upscaler.begin.

        A short batch is padded to its full size, so that bytes do not depend on where it ends.
        Raises ValueError for a batch of no pictures or of too many.
        """
        count, batch = len(pictures), self._inference.batch
        if not 1 <= count <= batch:
            raise ValueError(f"{count} pictures do not fit a batch of {batch}")
        if not self._memory_checked:
            self._fit_memory(pictures[0].width, pictures[0].height)
        compositor = self._compositor_for(pictures[0])
        stamps = [picture.pts for picture in pictures]
        planes = packing.upload(pictures, self._device, self._transfer.upload)
        with self._transfer.computing():
            rgb = compositor.to_rgb(planes)
            given = rgb
            if count < batch:
                given = torch.cat((rgb, rgb[-1:].expand(batch - count, -1, -1, -1)))
            cells = self.cells(given.contiguous(memory_format=torch.channels_last))
            source = SourceBatch(planes, rgb, stamps)
            result = compositor.compose(cells[:count], self.engine.shuffle, source)
        arrival, target = self._transfer.download(result.packed), self._target.pixel_format
        return Pending(lambda: result.unpack(arrival.tensor(), target, stamps), arrival.wait)

    def _compositor_for(self, picture: Picture) -> Compositor:
        """Keep a compositor, with its tables, as long as pictures have one size and format."""
        kind = (picture.pixel_format, picture.width, picture.height)
        if self._compositor is None or self._composed_kind != kind:
            self._compositor = Compositor(
                self._inference, self._target, source=picture, device=self._device
            )
            self._composed_kind = kind
        return self._compositor

    def _fit_memory(self, width: int, height: int) -> None:
        """Make tiles smaller than planned where this worker has less memory than planned for."""
        self._memory_checked = True
        facts = self._facts
        need = facts.bytes_per_pixel[self._inference.engine] * self._inference.batch
        free = available_bytes(self.engine.kind) - width * height * facts.tail_bytes_per_pixel
        side = plan_tile(width, height, facts, bytes_per_pixel=need, memory_bytes=max(free, 0))
        if side and (not self.tiling.side or side < self.tiling.side):
            log.warning("this worker's memory requires tiles of %d pixels", side)
            self.tiling = TilesInUse(side, facts.halo, self.tiling.splits + 1)

    def cells(self, rgb: Tensor) -> Tensor:
        """Compute the float32 cells of RGB (n, 3, h, w) in 0 to 1, the base picture included.

        If the device runs out of memory, halve the tiles and start the pictures again. Raises
        WorkerError UNSUPPORTED if not even the smallest tiles fit.
        """
        while (cells := self._attempt(rgb)) is None:
            self._halve_tiles(rgb.shape[3], rgb.shape[2])
        if self.engine.adds_base:
            cells.unflatten(1, (3, self.engine.shuffle**2)).add_(rgb.unsqueeze(2))
        return cells

    def _attempt(self, rgb: Tensor) -> Tensor | None:
        return self._run_tiled(rgb) if self.tiling.side else self.engine.run(rgb)

    def _halve_tiles(self, width: int, height: int) -> None:
        facts = self._facts
        side = (self.tiling.side or max(width, height)) // 2 // facts.grid * facts.grid
        if side < smallest_tile(facts):
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"{self.device} has too little memory for {facts.name} even in "
                f"tiles of {self.tiling.side} pixels; run the job on a larger worker",
            )
        log.warning("memory ran out; continuing with tiles of %d pixels", side)
        self.tiling = TilesInUse(side, facts.halo, self.tiling.splits + 1)

    def _run_tiled(self, x: Tensor) -> Tensor | None:
        height, width = x.shape[2:]
        shuffle = self.engine.shuffle
        factor = self.engine.scale // shuffle
        cells = torch.empty(
            (len(x), 3 * shuffle**2, height * factor, width * factor),
            dtype=torch.float32,
            device=self._device,
            memory_format=torch.channels_last,
        )
        tiling = self.tiling
        for tile in plan_tiles(
            width, height, side=tiling.side, halo=tiling.halo, grid=self._facts.grid
        ):
            if not self._fill(cells, x, tile, factor):
                return None
        return cells

    def _fill(self, cells: Tensor, x: Tensor, tile: Tile, factor: int) -> bool:
        """Compute one tile and store its inner part; return False if memory ran out."""
        rows, columns = tile.rows, tile.columns
        cut = x[:, :, rows.read_start : rows.read_stop, columns.read_start : columns.read_stop]
        done = self.engine.run(cut.contiguous(memory_format=torch.channels_last))
        if done is None:
            return False
        top, left = (rows.start - rows.read_start), (columns.start - columns.read_start)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        cells[
            :, :, rows.start * factor : rows.stop * factor,
            columns.start * factor : columns.stop * factor,
        ] = done[
            :, :, top * factor : (top + height) * factor, left * factor : (left + width) * factor
        ]  # fmt: skip
        return True
