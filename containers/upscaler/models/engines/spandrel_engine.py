"""Users' networks: whatever spandrel recognises by its weights, on processors and CUDA devices."""

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from containers.common.runtime.errors import WorkerError
from containers.upscaler.models.engines.network_engine import NetworkEngine
from containers.upscaler.models.engines.torch_engine import (
    DTYPES,
    device_versions,
    none_if_memory_ran_out,
)
from contracts.models import ModelFacts
from contracts.names import ExitCode

PACKAGE = "spandrel"
_OPERATORS = ("nms", "qnms")
_kept: list[torch.library.Library] = []


class SpandrelEngine(NetworkEngine):
    """Runs a user's network in the number format `dtype`, on `cpu` or `cuda`.

    spandrel pads pictures to a size that the network takes. Raises WorkerError UNSUPPORTED where
    spandrel is missing, does not know the network, or finds another scale than `facts` gives.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], facts: ModelFacts, *, dtype: str, kind: str
    ) -> None:
        network = recognise(weights, facts.name)
        if network.scale != facts.native_scale:
            raise WorkerError(
                ExitCode.UNSUPPORTED,
                f"{facts.name} enlarges by {network.scale}, but its description says "
                f"{facts.native_scale}; store the model again",
            )
        self._network = network.to(torch.device(kind), DTYPES[dtype]).eval()
        self._network.model.requires_grad_(False)
        self.scale: int = network.scale
        self.shuffle = 1
        self.adds_base = False
        self.kind = kind
        self.device = torch.cuda.get_device_name() if kind == "cuda" else "cpu"
        self.versions: Mapping[str, str] = {
            "torch": torch.__version__,
            PACKAGE: importlib.metadata.version(PACKAGE),
            **device_versions(kind),
        }

    def run(self, x: Tensor) -> Tensor | None:
        """See NetworkEngine.run."""
        return none_if_memory_ran_out(lambda: self._run(x))

    def _run(self, x: Tensor) -> Tensor:
        # not channels_last: many of these networks take views of their features
        narrow = x.to(self._network.dtype).contiguous()
        return self._network(narrow).to(torch.float32)

    def peak_memory_mib(self) -> int:
        """See NetworkEngine.peak_memory_mib."""
        return torch.cuda.max_memory_allocated() // 1024**2 if self.kind == "cuda" else 0


def recognise(weights: Mapping[str, Tensor], name: str) -> Any:
    """Build the network of these weights: a spandrel.ImageModelDescriptor, on the processor.

    `name` is for messages. Raises WorkerError UNSUPPORTED where spandrel is missing or does not
    know the network.
    """
    spandrel = load_spandrel()
    try:
        found = spandrel.ModelLoader("cpu").load_from_state_dict(dict(weights))
    except spandrel.UnsupportedModelError as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} has no architecture that spandrel {spandrel.__version__} knows; "
            "the list is at https://github.com/chaiNNer-org/spandrel",
        ) from error
    except Exception as error:  # architectures raise anything over weights that do not fit
        reason = " ".join(str(error).split())[:200]
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{name} looks like a network that spandrel {spandrel.__version__} knows, but does "
            f"not load ({type(error).__name__}: {reason}); check that the file is whole",
        ) from error
    return found


def load_spandrel() -> Any:
    """Import the package. Raises WorkerError UNSUPPORTED where it is missing."""
    try:
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            _define_missing_operators()
        return importlib.import_module(PACKAGE)  # slow, and most workers do without it
    except ImportError as error:
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"users' models need {PACKAGE}, which is not installed here ({error}); "
            "run: pip install 'superres[spandrel]', or choose a model of the catalogue",
        ) from error


def _define_missing_operators() -> None:
    """Let torchvision be imported where its compiled operators do not fit this torch.

    PyPI's torchvision is compiled against torch for CUDA. Its library does not load beside torch
    for processors, and the import then fails over two missing operators. spandrel uses neither, so
    schemas without an implementation are enough (docs/decisions/0036).
    """
    library = torch.library.Library("torchvision", "DEF")
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)  # its schemas live as long as it does
