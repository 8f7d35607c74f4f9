"""Networks that a user might bring: small, random, of spandrel's own classes."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from containers.upscaler.inspection.model_file import InspectedModel, inspect
from containers.upscaler.models.engines.spandrel_engine import load_spandrel
from containers.upscaler.models.loading import load_upscaler
from containers.upscaler.models.network_upscaler import NetworkUpscaler
from contracts.base import ObjectRef
from contracts.film.manifest import Inference
from contracts.keys import model_weights_key, stored_model
from contracts.models import Engine
from contracts.planning import output_size
from tests.unit.upscaler.support import SOURCES, target


@cache
def network(name: str) -> Any:
    """A torch module, the same at each call; its numbers leave no pixel where it was."""
    load_spandrel()
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    torch.manual_seed(7)
    match name:
        case "compact":
            return SRVGGNetCompact(num_feat=12, num_conv=3, upscale=2)
        case "cleaner":
            return SRVGGNetCompact(num_feat=8, num_conv=2, upscale=1)
        case "grey":
            return SRVGGNetCompact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=2)
        case "esrgan":
            return RRDBNet(num_filters=8, num_blocks=1, scale=4)
        case "swinir":
            return SwinIR(
                img_size=16, embed_dim=8, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2,
                upscale=2, upsampler="pixelshuffledirect",
            )  # fmt: skip
    raise ValueError(name)


def saved(folder: Path, name: str, suffix: str = ".safetensors") -> Path:
    """The network's file as users have it."""
    path, state = folder / f"{name}{suffix}", network(name).state_dict()
    if suffix == ".safetensors":
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save({"params_ema": state, "iteration": 5}, path)
    return path


def inspected(folder: Path, name: str) -> InspectedModel:
    return inspect(saved(folder, name), folder / "stored")


def inference(model: InspectedModel, scale: float = 2, **changes: Any) -> Inference:
    digest = str(model.facts.weights_sha256)
    fields = {
        "model": stored_model(digest), "facts": model.facts, "scale": scale, "threads": 1,
        "weights": ObjectRef(bucket=SOURCES, key=model_weights_key(digest)),
        "engine": Engine.TORCH, "dtype": "float32", **changes,
    }  # fmt: skip
    return Inference.model_validate(fields)


def load(model: InspectedModel, height: int, width: int, **changes: Any) -> Any:
    plan = inference(model, **changes)
    size = output_size(width, height, round(plan.scale))
    folder = model.weights_path.parent
    upscaler = load_upscaler(plan, target(*size), model_dir=folder, device="cpu")
    assert isinstance(upscaler, NetworkUpscaler)
    return upscaler


@torch.inference_mode()
def by_spandrel(name: str, picture: np.ndarray) -> np.ndarray:
    """What spandrel makes of it when called as its documentation says; (3, rows, columns)."""
    model = load_spandrel().ModelLoader().load_from_state_dict(dict(network(name).state_dict()))
    rgb = torch.from_numpy(picture).permute(0, 3, 1, 2).to(torch.float32).div(255)
    return model.eval()(rgb)[0].numpy()
