"""Networks in PyTorch, on processors and CUDA devices."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from containers.common.runtime.worker import WorkerError
from containers.upscaler.models.engines.execution import (
    Execution,
    executed,
    usual,
)
from containers.upscaler.models.engines.networks import (
    SCALE,
    Compact,
    Network,
)
from contracts.names import ExitCode

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: "
"""How PyTorch's processor allocator begins its RuntimeError; it has no class of its own."""


class TorchEngine:
    """See engine.Engine. Weights may come as numpy-backed or torch tensors of any float type."""

    def __init__(
        self,
        network: Network,
        weights: Mapping[str, Tensor],
        dtype: str,
        kind: str,
        execution: Execution | None = None,
    ) -> None:
        """`network` was built on the meta device. `execution`: by default what the kind suits."""
        narrow = DTYPES[dtype]
        placed = {
            name: _placed(tensor, kind, _layer_type(network, name, narrow))
            for name, tensor in weights.items()
        }
        network.load_state_dict(placed, assign=True)
        self.network = network.eval().requires_grad_(False)
        self._call = executed(self.network, execution or usual(kind), kind)
        self._dtype = next(network.parameters()).dtype
        self.scale = SCALE
        self.shuffle = network.shuffle
        self.adds_base = isinstance(network, Compact)
        self.kind = kind
        self.device = torch.cuda.get_device_name() if kind == "cuda" else "cpu"
        self.versions: Mapping[str, str] = {"torch": torch.__version__, **device_versions(kind)}

    def run(self, x: Tensor) -> Tensor | None:
        """See Engine.run."""
        return unless_memory_ran_out(lambda: self._run(x))

    def _run(self, x: Tensor) -> Tensor:
        narrow = x.to(self._dtype).contiguous(memory_format=torch.channels_last)
        return self._call(narrow).to(torch.float32)

    def peak_memory_mib(self) -> int:
        """See Engine.peak_memory_mib."""
        return torch.cuda.max_memory_allocated() // 1024**2 if self.kind == "cuda" else 0


def unless_memory_ran_out(compute: Callable[[], Tensor]) -> Tensor | None:
    """What `compute` gives; None where its device ran out of memory."""
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
    """`cpu` or `cuda`. Raises WorkerError UNSUPPORTED where cuda is wanted and not there."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            "the worker is set to device cuda and has no CUDA device; "
            "run it on a GPU machine or set SUPERRES_DEVICE to cpu",
        )
    return "cpu" if wanted == "cpu" or not there else "cuda"


def device_versions(kind: str) -> dict[str, str]:
    """Of what chooses the kernels on the device."""
    if kind != "cuda":
        return {}
    return {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}


def configure(threads: int) -> None:
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


def _layer_type(network: Network, name: str, narrow: torch.dtype) -> torch.dtype:
    exact = narrow is torch.bfloat16 and name.startswith(network.exact)
    return torch.float32 if exact else narrow


def _placed(tensor: Tensor, kind: str, dtype: torch.dtype) -> Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.to(kind, dtype).contiguous(memory_format=layout)
