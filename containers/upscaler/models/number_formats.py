"""Which number formats each engine computes in, on which kind of device."""

from containers.common.runtime.errors import WorkerError
from contracts.models import Engine, ModelFacts
from contracts.names import ExitCode

_FORMATS = {
    (Engine.TORCH, "cpu"): ("float32", "bfloat16"),
    (Engine.TORCH, "cuda"): ("float32", "float16", "bfloat16"),
    (Engine.NCNN, "cpu"): ("float32",),
    (Engine.OPENCV, "cpu"): ("uint8", "uint16"),
}
"""By engine and kind of device."""


def require_dtype(facts: ModelFacts, engine: Engine, *, kind: str, dtype: str) -> None:
    """Check that the model computes in `dtype` with `engine` on that kind of device.

    Raises WorkerError UNSUPPORTED, with the number formats that it does compute in.
    """
    possible = {
        (other, where): [name for name in formats if name in facts.dtypes]
        for (other, where), formats in _FORMATS.items()
        if other in (facts.bytes_per_pixel or (Engine.OPENCV,))
    }
    if dtype not in possible.get((engine, kind), ()):
        known = "; ".join(
            f"{name.value} on {where}: {', '.join(types)}"
            for (name, where), types in possible.items()
        )
        raise WorkerError(
            ExitCode.UNSUPPORTED,
            f"{facts.name} does not compute in {dtype} with {engine.value} on {kind} "
            f"({known}); plan the job with one of these or run it on another worker",
        )
