"""A network on a device: pictures in, pictures out. Tiles are here, colour is in device/."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from containers.common.film.pictures import Picture
from containers.common.runtime.worker import WorkerError
from containers.upscaler.device import samples
from containers.upscaler.device.ends import Ends
from containers.upscaler.device.target import Target
from containers.upscaler.host.memory import available_bytes
from containers.upscaler.models.engines.engine import Engine
from containers.upscaler.models.engines.execution import Execution
from containers.upscaler.models.engines.networks import (
    Compact,
    Network,
    RRDBNet,
)
from containers.upscaler.models.engines.torch_engine import (
    TorchEngine,
    configure,
    device_kind,
)
from containers.upscaler.models.engines.transfer import Transfer
from containers.upscaler.models.number_formats import require_dtype
from containers.upscaler.models.tiling import Tile, plan_tiles
from containers.upscaler.models.upscaler import DeviceChoice, Pending, Upscaler
from containers.upscaler.weights.catalogue import read_stored_weights, read_weights
from contracts import models
from contracts.film.manifest import Inference
from contracts.models import Architecture, ModelName
from contracts.names import ExitCode
from contracts.planning import plan_tile, smallest_tile

log = logging.getLogger(__name__)


def load_network(
    inference: Inference,
    target: Target,
    *,
    model_dir: Path,
    device: DeviceChoice,
    execution: Execution | None = None,
) -> "NetworkUpscaler":
    """See models.load_upscaler, which is the way in. `execution` is for measuring torch."""
    kind = device_kind(device)
    require_dtype(inference.facts, inference.engine, kind, inference.dtype)
    configure(inference.threads)
    return NetworkUpscaler(_engine(inference, model_dir, kind, execution), inference, target)


def _engine(
    inference: Inference, model_dir: Path, kind: str, execution: Execution | None
) -> Engine:
    facts = inference.facts
    if facts.architecture is Architecture.SPANDREL:
        from containers.upscaler.models.engines.spandrel_engine import SpandrelEngine

        stored = safetensors.torch.load(read_stored_weights(model_dir, facts))
        return SpandrelEngine(stored, facts, inference.dtype, kind)
    model = ModelName(inference.model)
    weights = safetensors.torch.load(read_weights(model_dir, model))
    if inference.engine is models.Engine.NCNN:
        from containers.upscaler.models.engines.ncnn_engine import NcnnEngine

        compact = facts.architecture is Architecture.COMPACT
        return NcnnEngine(compact, weights, inference.threads)
    with torch.device("meta"):
        network = _build(model)
    return TorchEngine(network, weights, inference.dtype, kind, execution)


def _build(model: ModelName) -> Network:
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
class Tiling:
    """The tiles in use: as planned, smaller where memory is short."""

    side: int
    """0: the whole picture."""
    halo: int
    splits: int = 0
    """How often memory ran out on the way."""


class NetworkUpscaler(Upscaler):
    """An Upscaler that runs a network at its own scale; device.ends stands at both ends of it."""

    def __init__(self, engine: Engine, inference: Inference, target: Target) -> None:
        self.engine = engine
        self._device = torch.device(engine.kind)
        self._transfer = Transfer(self._device)
        self._inference = inference
        self._facts = inference.facts
        self._target = target
        self._ends: Ends | None = None
        self._ends_kind: tuple[str, int, int] | None = None
        self._planned = False
        self.tiling = Tiling(inference.tile, inference.halo)
        self.device = engine.device
        self.versions: Mapping[str, str] = engine.versions

    @property
    def tile(self) -> int:
        """Side of the tiles in use; 0: none."""
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
        """See Upscaler.repeats: grain that stood still would be seen."""
        return self._inference.grain is None

    def busy_seconds(self) -> float:
        """See Upscaler.busy_seconds."""
        return self._transfer.busy_seconds()

    @torch.inference_mode()
    def begin(self, pictures: Sequence[Picture]) -> Pending:
        """See Upscaler.begin. Fewer pictures than the batch are padded, so that bytes do not
        depend on where a batch ends.
        """
        count, batch = len(pictures), self._inference.batch
        if not 1 <= count <= batch:
            raise ValueError(f"{count} pictures do not fit a batch of {batch}")
        if not self._planned:
            self._fit_memory(pictures[0].width, pictures[0].height)
        ends = self._ends_for(pictures[0])
        planes = samples.upload(pictures, self._device, self._transfer.upload)
        with self._transfer.computing():
            rgb = ends.rgb(planes)
            given = rgb
            if count < batch:
                given = torch.cat((rgb, rgb[-1:].expand(batch - count, -1, -1, -1)))
            cells = self.cells(given.contiguous(memory_format=torch.channels_last))
            stamps = [picture.pts for picture in pictures]
            sheet = ends.write(cells[:count], self.engine.shuffle, planes, rgb, stamps)
        arrival, target = self._transfer.download(sheet.packed), self._target.pixel_format
        return Pending(lambda: sheet.pictures(arrival.tensor(), target, stamps), arrival.wait)

    def _ends_for(self, picture: Picture) -> Ends:
        """Its tables hold as long as pictures come in one size and format."""
        kind = (picture.pixel_format, picture.width, picture.height)
        if self._ends is None or self._ends_kind != kind:
            self._ends = Ends(self._inference, self._target, picture, self._device)
            self._ends_kind = kind
        return self._ends

    def _fit_memory(self, width: int, height: int) -> None:
        """Tile smaller than planned where this worker has less memory than the plan counted on."""
        self._planned = True
        facts = self._facts
        need = facts.bytes_per_pixel[self._inference.engine] * self._inference.batch
        free = available_bytes(self.engine.kind) - width * height * facts.tail_bytes_per_pixel
        side = plan_tile(width, height, facts, bytes_per_pixel=need, memory_bytes=max(free, 0))
        if side and (not self.tiling.side or side < self.tiling.side):
            log.warning("this worker's memory asks for tiles of %d pixels", side)
            self.tiling = Tiling(side, facts.halo, self.tiling.splits + 1)

    def cells(self, rgb: Tensor) -> Tensor:
        """(n, 3, h, w) in 0 to 1 -> float32 cells, the base picture included.

        Where the device runs out of memory the tiles are halved and the pictures done anew.
        """
        while (cells := self._attempt(rgb)) is None:
            self._split(rgb.shape[3], rgb.shape[2])
        if self.engine.adds_base:
            cells.unflatten(1, (3, self.engine.shuffle**2)).add_(rgb.unsqueeze(2))
        return cells

    def _attempt(self, rgb: Tensor) -> Tensor | None:
        return self._tiled(rgb) if self.tiling.side else self.engine.run(rgb)

    def _split(self, width: int, height: int) -> None:
        facts = self._facts
        side = (self.tiling.side or max(width, height)) // 2 // facts.grid * facts.grid
        if side < smallest_tile(facts):
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"{self.device} has too little memory for {facts.name} even in "
                f"tiles of {self.tiling.side} pixels; run the job on a larger worker",
            )
        log.warning("memory ran out; going on with tiles of %d pixels", side)
        self.tiling = Tiling(side, facts.halo, self.tiling.splits + 1)

    def _tiled(self, x: Tensor) -> Tensor | None:
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
        for tile in plan_tiles(width, height, tiling.side, tiling.halo, self._facts.grid):
            if not self._fill(cells, x, tile, factor):
                return None
        return cells

    def _fill(self, cells: Tensor, x: Tensor, tile: Tile, factor: int) -> bool:
        """Compute one tile and put its inner part in its place; False where memory ran out."""
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
