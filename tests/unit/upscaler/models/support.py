"""Helpers for tests of models: loading one, its exact output, the ncnn runtime as reference."""

import importlib
import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch.nn import functional

from containers.common.runtime.worker import WorkerError
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.models.network_upscaler import NetworkUpscaler
from containers.upscaler.weights.conversion import find_network
from contracts.film.manifest import Inference
from contracts.models import CATALOGUE, Engine, ModelName
from contracts.names import ExitCode
from contracts.planning import output_size
from tests.unit.upscaler.support import target

LEVEL = 1 / 255
SAMPLE = Path(__file__).parents[4] / "samples" / "bunny.mp4"
NCNN: Any = importlib.import_module("ncnn")  # brings no types
SIZES = {
    ModelName.ANIMEVIDEOV3: (48, 64),
    ModelName.X4PLUS_ANIME: (32, 40),
    ModelName.X4PLUS: (24, 24),
}


def plan(model: ModelName, **changes: Any) -> Inference:
    lanczos = model is ModelName.LANCZOS
    fields = {
        "engine": Engine.OPENCV if lanczos else Engine.TORCH, "model": model,
        "facts": CATALOGUE[model], "scale": 4,
        "dtype": "uint8" if lanczos else "float32", "threads": 1, **changes,
    }  # fmt: skip
    return Inference.model_validate(fields)


def load(folder: Path, model: ModelName, height: int, width: int, **changes: Any) -> Any:
    bits = changes.pop("bits", 8)
    inference = plan(model, **changes)
    size = output_size(width, height, round(inference.scale))
    return load_upscaler(inference, target(*size, bits), model_dir=folder, device="cpu")


def refusal(folder: Path, device: Any = "cpu", **changes: Any) -> str:
    inference = plan(changes.pop("model", ModelName.ANIMEVIDEOV3), **changes)
    with pytest.raises(WorkerError) as caught:
        load_upscaler(inference, target(256, 192), model_dir=folder, device=device)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED
    return caught.value.message


@torch.inference_mode()
def network_output(upscaler: NetworkUpscaler, picture: np.ndarray) -> np.ndarray:
    """(3, 4h, 4w) float32, before rounding."""
    rgb = torch.from_numpy(picture).permute(0, 3, 1, 2).to(torch.float32).div(255)
    cells = upscaler.cells(rgb.contiguous(memory_format=torch.channels_last))
    return functional.pixel_shuffle(cells, upscaler.engine.shuffle)[0].numpy()


def reference(model: ModelName, picture: np.ndarray) -> np.ndarray:
    """The same from the ncnn runtime, in float32."""
    stem = str(find_network(model))
    net = NCNN.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    net.opt.num_threads = 1
    net.load_param(stem + ".param")
    net.load_model(stem + ".bin")
    extractor = net.create_extractor()
    planes = np.ascontiguousarray(picture[0].transpose(2, 0, 1), dtype=np.float32) / 255
    extractor.input("data", NCNN.Mat(planes).clone())
    return np.array(extractor.extract("output")[1])


def real_picture(height: int, width: int) -> np.ndarray:
    """A crop around the rabbit's head from the sample, (1, height, width, 3)."""
    with av.open(str(SAMPLE)) as film:
        frame = next(itertools.islice(film.decode(video=0), 20, None)).to_ndarray(format="rgb24")
    return np.ascontiguousarray(frame[None, 20 : 20 + height, 150 : 150 + width])
