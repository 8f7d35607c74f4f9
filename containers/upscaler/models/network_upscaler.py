"""A network of `networks` on a device: pictures in, pictures out."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from containers.common.worker import WorkerError
from containers.upscaler.models import DeviceChoice, Frames, describe, require_dtype
from containers.upscaler.models.networks import SCALE, Compact, Network, RRDBNet
from containers.upscaler.tiling import Tile, plan_tiles
from containers.upscaler.weights import read_weights
from contracts.manifest import Inference
from contracts.models import ModelName
from contracts.names import ExitCode

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_PEAKS = {torch.uint8: 255.0, torch.uint16: 65535.0}


def load_network(
    inference: Inference, size: tuple[int, int], *, model_dir: Path, device: DeviceChoice
) -> "NetworkUpscaler":
    """See models.load_upscaler, which is the way in."""
    kind = _device_kind(device)
    require_dtype(describe(inference.model), kind, inference.dtype)
    _configure(inference.threads)
    weights = safetensors.torch.load(read_weights(model_dir, inference.model))
    with torch.device("meta"):
        network = _build(inference.model)
    narrow = _DTYPES[inference.dtype]
    placed = {
        name: _placed(tensor, kind, _layer_type(network, name, narrow))
        for name, tensor in weights.items()
    }
    network.load_state_dict(placed, assign=True)
    return NetworkUpscaler(network.eval().requires_grad_(False), inference, size, kind)


def _layer_type(network: Network, name: str, narrow: torch.dtype) -> torch.dtype:
    exact = narrow is torch.bfloat16 and name.startswith(network.exact)
    return torch.float32 if exact else narrow


def _placed(tensor: Tensor, kind: str, dtype: torch.dtype) -> Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.to(kind, dtype).contiguous(memory_format=layout)


def _device_kind(wanted: DeviceChoice) -> str:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            "the worker is set to device cuda and has no CUDA device; "
            "run it on a GPU machine or set SUPERRES_DEVICE to cpu",
        )
    return "cpu" if wanted == "cpu" or not there else "cuda"


def _configure(threads: int) -> None:
    """Fix everything outside the network that decides its numbers."""
    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned for {threads} inference threads, this worker can have "
            f"{torch.get_num_threads()}",
        )
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


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


class NetworkUpscaler:
    """An Upscaler that runs a network at x4 and resamples to the size asked for.

    Where that size is not four times the source's, the network's result is resampled with an
    antialiased bicubic kernel on the device.
    """

    def __init__(
        self, network: Network, inference: Inference, size: tuple[int, int], kind: str
    ) -> None:
        self._device = torch.device(kind)
        self._dtype = next(network.parameters()).dtype
        self._network = network
        self._inference = inference
        self._size = size
        self.device = torch.cuda.get_device_name() if kind == "cuda" else "cpu"
        self.versions: Mapping[str, str] = {"torch": torch.__version__}

    @torch.inference_mode()
    def upscale(self, frames: Frames) -> Frames:
        """See Upscaler.upscale. Fewer pictures than the batch are padded, so that bytes do not
        depend on where a batch ends.
        """
        count, batch = len(frames), self._inference.batch
        if not 1 <= count <= batch:
            raise ValueError(f"{count} pictures do not fit a batch of {batch}")
        source = torch.from_numpy(frames).to(self._device)
        peak = _PEAKS[source.dtype]
        rgb = source.permute(0, 3, 1, 2).to(torch.float32).div_(peak)
        if count < batch:
            rgb = torch.cat((rgb, rgb[-1:].expand(batch - count, -1, -1, -1)))
        cells = self._cells(rgb.contiguous(memory_format=torch.channels_last))
        pictures = self._pictures(cells[:count], peak, source.dtype)
        return pictures.cpu().numpy()

    def _cells(self, rgb: Tensor) -> Tensor:
        """(n, 3, h, w) in 0 to 1 -> cells in float32, channels last, base picture included."""
        x = rgb.to(self._dtype)
        cells = self._tiled(x) if self._inference.tile else self._network(x).to(torch.float32)
        if isinstance(self._network, Compact):
            cells.unflatten(1, (3, SCALE**2)).add_(rgb.unsqueeze(2))
        return cells

    def _tiled(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        factor = SCALE // self._network.shuffle
        cells = torch.empty(
            (len(x), 3 * self._network.shuffle**2, height * factor, width * factor),
            dtype=torch.float32,
            device=self._device,
            memory_format=torch.channels_last,
        )
        for tile in plan_tiles(width, height, self._inference.tile, self._inference.halo):
            self._fill(cells, x, tile, factor)
        return cells

    def _fill(self, cells: Tensor, x: Tensor, tile: Tile, factor: int) -> None:
        rows, columns = tile.rows, tile.columns
        cut = x[:, :, rows.read_start : rows.read_stop, columns.read_start : columns.read_stop]
        done = self._network(cut.contiguous(memory_format=torch.channels_last))
        top, left = (rows.start - rows.read_start), (columns.start - columns.read_start)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        cells[
            :, :, rows.start * factor : rows.stop * factor,
            columns.start * factor : columns.stop * factor,
        ] = done[
            :, :, top * factor : (top + height) * factor, left * factor : (left + width) * factor
        ]  # fmt: skip

    def _pictures(self, cells: Tensor, peak: float, dtype: torch.dtype) -> Tensor:
        """Cells -> (n, height, width, 3) in the pictures' type."""
        shuffle = self._network.shuffle
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
