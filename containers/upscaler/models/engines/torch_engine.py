"""Networks in PyTorch, on processors and CUDA devices."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from containers.common.runtime.worker import WorkerError
from containers.upscaler.models.engines.execution import (
    ExecutionMode,
    default_mode,
    prepare_call,
)
from containers.upscaler.models.engines.network_engine import NetworkEngine
from containers.upscaler.models.networks.network import CatalogueNetwork
from contracts.names import ExitCode

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: "
"""How the message of PyTorch's allocator for processors begins; its error is a RuntimeError."""


class TorchEngine(NetworkEngine):
    """Runs a network of the catalogue in the number format `dtype`, on `cpu` or `cuda`.

    `network` was built on the meta device; `weights` are tensors of any float type. `mode` is
    `default_mode(kind)` unless given.
    """

    def __init__(
        self,
        network: CatalogueNetwork,
        weights: Mapping[str, Tensor],
        *,
        dtype: str,
        kind: str,
        mode: ExecutionMode | None = None,
    ) -> None:
        narrow = DTYPES[dtype]
        placed = {
            name: _place(tensor, kind, _layer_dtype(network, name, narrow))
            for name, tensor in weights.items()
        }
        network.load_state_dict(placed, assign=True)
        self.network = network.eval().requires_grad_(False)
        self._call = prepare_call(self.network, mode or default_mode(kind), kind)
        self._dtype = next(network.parameters()).dtype
        self.scale = network.scale
        self.shuffle = network.shuffle
        self.adds_base = network.adds_base
        self.kind = kind
        self.device = torch.cuda.get_device_name() if kind == "cuda" else "cpu"
        self.versions: Mapping[str, str] = {"torch": torch.__version__, **device_versions(kind)}

    def run(self, x: Tensor) -> Tensor | None:
        """See NetworkEngine.run."""
        return none_if_memory_ran_out(lambda: self._run(x))

    def _run(self, x: Tensor) -> Tensor:
        narrow = x.to(self._dtype).contiguous(memory_format=torch.channels_last)
        return self._call(narrow).to(torch.float32)

    def peak_memory_mib(self) -> int:
        """See NetworkEngine.peak_memory_mib."""
        return torch.cuda.max_memory_allocated() // 1024**2 if self.kind == "cuda" else 0


def none_if_memory_ran_out(compute: Callable[[], Tensor]) -> Tensor | None:
    """Return what `compute` returns, or None if its device ran out of memory."""
    try:
        return compute()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    except RuntimeError as error:
        if _CPU_OUT_OF_MEMORY not in str(error):
            raise
        return None


def device_kind(wanted: str) -> str:
    """Choose `cpu` or `cuda` for a wanted `auto`, `cpu` or `cuda`.

    Raises WorkerError UNSUPPORTED where cuda is wanted and there is no such device.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            "the worker is set to device cuda but has no CUDA device; "
            "run it on a GPU machine or set SUPERRES_DEVICE to cpu",
        )
    return "cpu" if wanted == "cpu" or not available else "cuda"


def device_versions(kind: str) -> dict[str, str]:
    """Return the versions of the libraries that choose the kernels on the device."""
    if kind != "cuda":
        return {}
    return {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}


def fix_numerics(threads: int) -> None:
    """Fix all settings of PyTorch that decide a network's numbers.

    Raises WorkerError UNSUPPORTED where PyTorch cannot use that many threads.
    """
    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"the job was planned for {threads} inference threads, but this worker can use only "
            f"{torch.get_num_threads()}",
        )
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _layer_dtype(network: CatalogueNetwork, name: str, narrow: torch.dtype) -> torch.dtype:
    exact = narrow is torch.bfloat16 and name.startswith(network.exact)
    return torch.float32 if exact else narrow


def _place(tensor: Tensor, kind: str, dtype: torch.dtype) -> Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.to(kind, dtype).contiguous(memory_format=layout)
