"""A network on a device: pictures in, pictures out. Tiles, repeats and the tail are here."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from containers.common.pictures import Picture
from containers.common.worker import WorkerError
from containers.upscaler.memory import available_bytes
from containers.upscaler.models import (
    DeviceChoice,
    Pending,
    Target,
    Upscaler,
    describe,
    require_dtype,
)
from containers.upscaler.models.engine import Engine
from containers.upscaler.models.networks import Compact, Network, RRDBNet
from containers.upscaler.models.torch_engine import TorchEngine, configure, device_kind
from containers.upscaler.models.transfer import Transfer
from containers.upscaler.tiling import Tile, plan_tiles
from containers.upscaler.weights import read_weights
from contracts import models
from contracts.manifest import Inference
from contracts.models import CATALOGUE, Architecture, ModelName
from contracts.names import ExitCode
from contracts.planning import SMALLEST_TILE, plan_tile

_PEAKS = {torch.uint8: 255.0, torch.uint16: 65535.0}

log = logging.getLogger(__name__)


def load_network(
    inference: Inference, target: Target, *, model_dir: Path, device: DeviceChoice
) -> "NetworkUpscaler":
    """See models.load_upscaler, which is the way in."""
    kind = device_kind(device)
    require_dtype(describe(inference.model), inference.engine, kind, inference.dtype)
    configure(inference.threads)
    weights = safetensors.torch.load(read_weights(model_dir, inference.model))
    architecture = CATALOGUE[inference.model].architecture
    if architecture is None:
        raise ValueError(f"{inference.model.value} has no network")
    if inference.engine is models.Engine.NCNN:
        from containers.upscaler.models.ncnn_engine import NcnnEngine

        engine: Engine = NcnnEngine(architecture, weights, inference.threads)
    else:
        with torch.device("meta"):
            network = _build(inference.model)
        engine = TorchEngine(network, weights, inference.dtype, kind)
    return NetworkUpscaler(engine, inference, target, architecture)


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
    """An Upscaler that runs a network at its own scale and resamples to the size asked for.

    Where that size is not the network's own, its result is resampled with an antialiased bicubic
    kernel on the device.
    """

    def __init__(
        self,
        engine: Engine,
        inference: Inference,
        target: Target,
        architecture: Architecture,
    ) -> None:
        self.engine = engine
        self._device = torch.device(engine.kind)
        self._transfer = Transfer(self._device)
        self._inference = inference
        self._architecture = architecture
        self._size = target.size
        self._converter = target.converter()
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
        source = self._transfer.upload(torch.from_numpy(self._converter.rgb(pictures)))
        with self._transfer.computing():
            peak = _PEAKS[source.dtype]
            rgb = source.permute(0, 3, 1, 2).to(torch.float32).div_(peak)
            if count < batch:
                rgb = torch.cat((rgb, rgb[-1:].expand(batch - count, -1, -1, -1)))
            cells = self.cells(rgb.contiguous(memory_format=torch.channels_last))
            result = self._rounded(cells[:count], peak, source.dtype)
        arrival = self._transfer.download(result)
        return Pending(
            lambda: self._converter.pictures(arrival.tensor().numpy(), pictures), arrival.wait
        )

    def _fit_memory(self, width: int, height: int) -> None:
        """Tile smaller than planned where this worker has less memory than the plan counted on."""
        self._planned = True
        need = models.BYTES_PER_PIXEL[self._inference.engine, self._architecture]
        halo = min(CATALOGUE[self._inference.model].radius, models.MAX_HALO)
        free = available_bytes(self.engine.kind) - width * height * models.TAIL_BYTES_PER_PIXEL
        side = plan_tile(width, height, need * self._inference.batch, max(free, 0), halo)
        if side and (not self.tiling.side or side < self.tiling.side):
            log.warning("this worker's memory asks for tiles of %d pixels", side)
            self.tiling = Tiling(side, halo, self.tiling.splits + 1)

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
        side = (self.tiling.side or max(width, height)) // 2
        if side < SMALLEST_TILE:
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"{self.device} has too little memory for {self._inference.model.value} even in "
                f"tiles of {self.tiling.side} pixels; run the job on a larger worker",
            )
        halo = min(CATALOGUE[self._inference.model].radius, models.MAX_HALO)
        log.warning("memory ran out; going on with tiles of %d pixels", side)
        self.tiling = Tiling(side, halo, self.tiling.splits + 1)

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
        for tile in plan_tiles(width, height, self.tiling.side, self.tiling.halo):
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

    def _rounded(self, cells: Tensor, peak: float, dtype: torch.dtype) -> Tensor:
        """Cells -> (n, height, width, 3) of the target's size, in the RGB's type."""
        shuffle = self.engine.shuffle
        width, height = self._size
        if (cells.shape[3] * shuffle, cells.shape[2] * shuffle) != (width, height):
            cells = functional.interpolate(
                functional.pixel_shuffle(cells, shuffle),
                size=(height, width),
                mode="bicubic",
                antialias=True,
            )
            shuffle = 1
        levels = cells.mul_(peak).round_().clamp_(0.0, peak).to(dtype)
        n, _, rows, columns = levels.shape
        grid = levels.unflatten(1, (3, shuffle, shuffle)).permute(0, 4, 2, 5, 3, 1)
        return grid.reshape(n, rows * shuffle, columns * shuffle, 3)
