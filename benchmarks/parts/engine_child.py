"""Runs one engine: for each line of stdin it computes a frame and prints the seconds it took.

It is started by its path, for our engines in our environment and for the peers' in theirs, where it
must import nothing of ours.
"""

import json
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCALE = 4


@dataclass(frozen=True)
class EngineRequest:
    """What to compute with: an engine in a number format, on pictures of a size."""

    engine: str
    dtype: str
    width: int
    height: int
    threads: int
    weights: Path
    """The safetensors file of animevideov3."""


def load_ours(r: EngineRequest) -> Callable[[], Any]:
    """Load the worker's upscaler, from 8-bit pictures to 8-bit pictures, colour included."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from containers.common.film.pictures import Picture, plane_shapes
    from containers.upscaler.device.target import Target
    from containers.upscaler.models.loading import load_upscaler
    from contracts.film.facts import Colour
    from contracts.film.manifest import Inference
    from contracts.models import CATALOGUE, Engine, ModelName

    model = ModelName.ANIMEVIDEOV3
    inference = Inference(
        model=model, facts=CATALOGUE[model], scale=SCALE,
        engine=Engine(r.engine), dtype=r.dtype, threads=r.threads,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    colour = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
    target = Target(
        width=r.width * SCALE, height=r.height * SCALE, pixel_format="yuv420p",
        source_colour=colour, colour=colour, bits=8,
    )  # fmt: skip
    upscaler = load_upscaler(inference, target, model_dir=r.weights.parent, device="cpu")
    noise = np.random.default_rng(0)
    shapes = plane_shapes("yuv420p", r.width, r.height)
    planes = tuple(noise.integers(0, 256, shape, dtype=np.uint8) for shape in shapes)
    return lambda: upscaler.upscale([Picture(0, "yuv420p", planes)])


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file without its package: float32 tensors by name."""
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    types = {"F16": "<f2", "F32": "<f4"}
    found: dict[str, np.ndarray] = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            data = np.frombuffer(raw[8 + length + first : 8 + length + last], types[entry["dtype"]])
            found[name] = data.reshape(entry["shape"]).astype(np.float32)
    return found


def build_onnx(path: Path, width: int, height: int) -> bytes:
    """Build the compact network as ONNX, for pictures of that size."""
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx import helper, numpy_helper  # pyright: ignore[reportMissingImports]

    weights = read_safetensors(path)
    nodes: list[Any] = []
    constants = [numpy_helper.from_array(np.array([1, 1, SCALE, SCALE], np.float32), "by")]
    blob = "data"
    for number in range(35):
        weight = weights[f"body.{number}.weight"]
        inputs = [blob, f"w{number}"]
        blob = f"x{number}"
        if weight.ndim == 4:
            inputs.append(f"b{number}")
            constants.append(numpy_helper.from_array(weights[f"body.{number}.bias"], inputs[2]))
            nodes.append(helper.make_node("Conv", inputs, [blob], pads=[1, 1, 1, 1]))
        else:
            weight = weight.reshape(-1, 1, 1)
            nodes.append(helper.make_node("PRelu", inputs, [blob]))
        constants.append(numpy_helper.from_array(weight, inputs[1]))
    nearest = {
        "mode": "nearest", "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }  # fmt: skip
    nodes += [
        helper.make_node("DepthToSpace", [blob], ["detail"], blocksize=SCALE, mode="CRD"),
        helper.make_node("Resize", ["data", "", "by"], ["base"], **nearest),
        helper.make_node("Add", ["detail", "base"], ["out"]),
    ]
    shapes = [("data", [1, 3, height, width]), ("out", [1, 3, height * SCALE, width * SCALE])]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes]
    made = helper.make_graph(nodes, "compact", ends[:1], ends[1:], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model.SerializeToString()


def load_peer(r: EngineRequest) -> Callable[[], Any]:
    """Load the network in another runtime, from float32 to float32."""
    model = build_onnx(r.weights, r.width, r.height)
    picture = np.random.default_rng(0).random((1, 3, r.height, r.width), np.float32)
    if r.engine == "onnxruntime":
        import onnxruntime  # pyright: ignore[reportMissingImports]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = r.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"data": picture})
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": r.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if r.dtype == "bfloat16" else "f32",
    }
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    return lambda: request.infer([picture], share_inputs=True, share_outputs=True)


def main() -> None:
    name, width, height, threads, path = sys.argv[1:]
    engine, dtype = name.split()
    request = EngineRequest(engine, dtype, int(width), int(height), int(threads), Path(path))
    compute = (load_ours if engine in ("torch", "ncnn") else load_peer)(request)
    compute()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        compute()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
