"""Users' models: looked at once, pinned by hash, computed as spandrel itself computes them."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from containers.common.runtime.errors import WorkerError
from containers.upscaler.inspection import model_file
from containers.upscaler.inspection.model_file import InspectedModel, inspect
from containers.upscaler.models.engines.spandrel_engine import load_spandrel
from containers.upscaler.models.loading import load_upscaler
from contracts.models import MAX_HALO, Architecture, Engine, StoredModel, network_dtype
from contracts.names import ExitCode
from tests.support.users_models import (
    by_spandrel,
    inference,
    inspected,
    load,
    network,
    saved,
)
from tests.unit.upscaler.models.support import (
    LEVEL,
    network_output,
    real_picture,
)
from tests.unit.upscaler.support import (
    FolderS3,
    enlarge,
    prepare,
    target,
    texture,
)
from tests.unit.upscaler.worker_support import (
    failure,
    result,
    work,
)

NETWORKS = ("compact", "esrgan", "swinir")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, InspectedModel]:
    folder = tmp_path_factory.mktemp("models")
    return {name: inspected(folder, name) for name in (*NETWORKS, "cleaner")}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("height", "width"), [(37, 45), (9, 11), (48, 64)])
def test_the_result_is_what_spandrel_makes_of_the_picture(
    models: dict[str, InspectedModel], name: str, height: int, width: int
) -> None:
    picture = texture(height, width)
    upscaler = load(models[name], height, width)
    difference = network_output(upscaler, picture) - by_spandrel(name, picture)
    assert np.abs(difference).max() < 0.001 * LEVEL
    assert upscaler.versions["spandrel"] == load_spandrel().__version__


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_equal_the_whole(models: dict[str, InspectedModel], name: str) -> None:
    facts = models[name].facts
    tile = 2 * max(16, facts.grid)
    picture = texture(2 * facts.halo + 41, 2 * facts.halo + 37)
    height, width = picture.shape[1:3]
    whole = network_output(load(models[name], height, width), picture)
    tiled = load(models[name], height, width, tile=tile, halo=facts.halo)
    assert np.abs(network_output(tiled, picture) - whole).max() < 0.003 * LEVEL


def test_tiles_off_the_grid_of_the_windows_would_differ(models: dict[str, InspectedModel]) -> None:
    model = models["swinir"]
    picture = texture(60, 76)
    whole = network_output(load(model, 60, 76), picture)
    free = model.facts.model_copy(update={"grid": 1})
    tiled = load(model, 60, 76, tile=19, halo=30, facts=free)
    assert np.abs(network_output(tiled, picture) - whole).max() > 0.1 * LEVEL


@pytest.mark.parametrize(
    ("name", "scale", "radius", "grid", "minimum"),
    [("compact", 2, 5, 1, 1), ("cleaner", 1, 4, 1, 1), ("swinir", 2, 15, 8, 16)],
)
def test_a_models_facts_are_found_in_the_model(
    models: dict[str, InspectedModel], name: str, scale: int, radius: int, grid: int, minimum: int
) -> None:
    facts = models[name].facts
    assert (facts.native_scale, facts.radius, facts.grid) == (scale, radius, grid)
    assert facts.size.minimum == minimum
    assert facts.halo % grid == 0
    assert facts.halo >= radius
    assert facts.architecture is Architecture.SPANDREL
    assert facts.name.endswith(f"({name}.safetensors)")


def test_work_and_memory_are_counted(models: dict[str, InspectedModel]) -> None:
    facts = models["compact"].facts
    weights = 9 * (3 * 12 + 3 * 12 * 12 + 12 * 12)
    assert facts.flop_per_pixel == 2 * weights
    two_layers = 2 * 12 * 4  # bytes of a layer's input and its output
    assert two_layers <= facts.bytes_per_pixel[Engine.TORCH] <= 6 * two_layers


def test_a_network_that_reaches_further_than_the_halo_has_no_radius(tmp_path: Path) -> None:
    load_spandrel()
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    path = tmp_path / "deep.safetensors"
    deep = RRDBNet(num_filters=4, num_blocks=5, scale=1)
    safetensors.torch.save_file(deep.state_dict(), path)
    facts = inspect(path, tmp_path).facts
    assert (facts.radius, facts.halo) == (None, MAX_HALO)


def test_a_safetensors_file_is_stored_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, "compact")
    made = inspect(path, tmp_path / "stored")
    content = path.read_bytes()
    assert made.weights_path.read_bytes() == content
    assert made.weights_path.stem == hashlib.sha256(content).hexdigest()
    facts = StoredModel.model_validate_json(made.facts_path.read_bytes()).facts
    assert facts == made.facts
    assert facts.weights_sha256 == made.facts_path.stem == made.weights_path.stem


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickle_of_weights_alone_becomes_the_same_safetensors(
    tmp_path: Path, old_format: bool
) -> None:
    path = saved(tmp_path, "compact", ".pth")
    if old_format:
        content = torch.load(path, weights_only=True)
        torch.save(content, path, _use_new_zipfile_serialization=False)
    weights = model_file.read_model(path)
    expected = safetensors.torch.load_file(saved(tmp_path, "compact"))
    assert weights.tensors.keys() == expected.keys()
    assert all(torch.equal(weights.tensors[name], value) for name, value in expected.items())
    assert weights.stored == safetensors.torch.save(expected)


def test_the_licence_in_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    state = safetensors.torch.load_file(saved(tmp_path, "compact"))
    safetensors.torch.save_file(state, path, {"license": "CC-BY-4.0"})
    assert model_file.read_model(path).licence == "CC-BY-4.0"


class Runs:
    """Unpickling it would run a program."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def unlike(folder: Path, kind: str) -> Path:
    if kind == "grey":
        return saved(folder, "grey")
    path = folder / f"{kind}.pth"
    state = dict(network("compact").state_dict())
    contents = {
        "runs code": {"params": state, "x": Runs()},
        "no tensors": {"epoch": 3},
        "a list": [torch.zeros(3)],
        "unknown": {"strange.weight": torch.zeros(3, 3)},
        "broken": {**state, "body.2.weight": torch.zeros(12, 5, 3, 3)},
    }
    if kind in contents:
        torch.save(contents[kind], path)
    elif kind != "missing":
        texts = {
            "runs code, old": pickle.dumps(Runs(), protocol=2),
            "cut short": saved(folder, "compact", ".pt").read_bytes()[:900],
            "no model": b"GIF89a" * 100,
            "empty": b"",
        }
        path.write_bytes(texts[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("runs code", ExitCode.BAD_SOURCE, "would run code from its author; save only its"),
        ("runs code, old", ExitCode.BAD_SOURCE, "would run code from its author; save only its"),
        ("cut short", ExitCode.BAD_SOURCE, "is not a complete file of torch.save"),
        ("no tensors", ExitCode.BAD_SOURCE, "holds no weights by name"),
        ("a list", ExitCode.BAD_SOURCE, "holds no weights by name"),
        ("no model", ExitCode.BAD_SOURCE, "is not a model: neither a safetensors file nor"),
        ("empty", ExitCode.BAD_SOURCE, "is not a model: neither a safetensors file nor"),
        ("missing", ExitCode.BAD_SOURCE, "No such file"),
        ("unknown", ExitCode.UNSUPPORTED, "has no architecture that spandrel"),
        ("broken", ExitCode.UNSUPPORTED, "but does not load (RuntimeError"),
        ("grey", ExitCode.UNSUPPORTED, "takes 1 channels and gives 1, not RGB; films need"),
    ],
)
def test_what_is_no_model_for_films_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: ExitCode, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkerError) as caught:
        inspect(unlike(tmp_path, kind), tmp_path / "stored")
    assert (caught.value.exit_code, "\n" in caught.value.message) == (code, False)
    assert reason in caught.value.message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "stored").exists()


def test_a_model_too_large_to_read_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "MODEL_BYTES_MAX", 1000)
    with pytest.raises(WorkerError, match="a model may have at most 1000") as caught:
        inspect(saved(tmp_path, "compact"), tmp_path)
    assert caught.value.exit_code is ExitCode.LIMIT_EXCEEDED


def test_a_network_that_draws_anew_each_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spandrel = load_spandrel()
    call = spandrel.ImageModelDescriptor.__call__
    noisy = lambda self, x: call(self, x) + torch.rand(1) / 1e4  # noqa: E731
    monkeypatch.setattr(spandrel.ImageModelDescriptor, "__call__", noisy)
    with pytest.raises(WorkerError, match="gives a different picture each time") as caught:
        inspect(saved(tmp_path, "compact"), tmp_path)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


def test_without_spandrel_users_models_are_refused_by_name(
    models: dict[str, InspectedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(WorkerError, match=r"pip install 'superres\[spandrel\]'") as caught:
        load(models["compact"], 8, 8)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


def test_spandrel_loads_beside_any_build_of_torch() -> None:
    """In a process of its own, where nobody has imported torchvision yet."""
    program = """
from containers.upscaler.models.engines.spandrel_engine import load_spandrel
assert load_spandrel() is load_spandrel()
import torchvision
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_model_that_does_not_enlarge_is_enlarged_behind(
    models: dict[str, InspectedModel],
) -> None:
    picture = texture(24, 32)
    upscaler = load(models["cleaner"], 24, 32, scale=3)
    assert network_output(upscaler, picture).shape == (3, 24, 32)
    assert enlarge(upscaler, picture).shape == (1, 72, 96, 3)


def test_number_formats_that_a_model_may_not_have_give_way(
    models: dict[str, InspectedModel],
) -> None:
    """bfloat16 for all, since nobody knows which layers need more than its eight bits."""
    compact, swinir = models["compact"].facts, models["swinir"].facts
    assert network_dtype(compact, "float16") == "float16"
    assert network_dtype(swinir, "float16") == "float32"
    assert network_dtype(compact, "bfloat16") == "float32"
    with pytest.raises(WorkerError, match=r"does not compute in bfloat16 with torch on cpu \(torc"):
        load(models["compact"], 8, 8, dtype="bfloat16")


def test_other_weights_than_the_pinned_ones_are_refused(
    models: dict[str, InspectedModel], tmp_path: Path
) -> None:
    model = models["compact"]
    other = tmp_path / model.weights_path.name
    other.write_bytes(model.weights_path.read_bytes() + b"\0")
    with pytest.raises(WorkerError, match=f"should have {model.facts.weights_sha256}") as caught:
        load_upscaler(inference(model), target(16, 16), model_dir=tmp_path, device="cpu")
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


def test_a_description_of_another_model_is_refused(models: dict[str, InspectedModel]) -> None:
    facts = models["compact"].facts.model_copy(update={"native_scale": 4})
    with pytest.raises(WorkerError, match="enlarges by 2, but its description says 4") as caught:
        load(models["compact"], 8, 8, facts=facts)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED


@pytest.mark.logs_errors
def test_a_worker_fetches_the_model_that_the_manifest_pins(
    models: dict[str, InspectedModel], tmp_path: Path
) -> None:
    plan = inference(models["compact"])
    prepare(tmp_path, 6, inference=plan)
    assert work(tmp_path) == ExitCode.SOURCE_MISSING
    assert "does not exist, but its description does" in failure(tmp_path).message
    assert plan.weights is not None
    content = models["compact"].weights_path.read_bytes()
    s3 = FolderS3(tmp_path)
    s3.put_object(Bucket=plan.weights.bucket, Key=plan.weights.key, Body=content[:-1])
    assert work(tmp_path) == ExitCode.UNSUPPORTED
    assert "SHA-256" in failure(tmp_path).message
    s3.put_object(Bucket=plan.weights.bucket, Key=plan.weights.key, Body=content)
    assert work(tmp_path) == ExitCode.OK
    assert result(tmp_path, 0).weights_sha256 == models["compact"].facts.weights_sha256


def test_real_pictures_in_tiles_show_no_seam(models: dict[str, InspectedModel]) -> None:
    facts, picture = models["swinir"].facts, real_picture(64, 96)
    whole = enlarge(load(models["swinir"], 64, 96), picture).astype(int)
    tiled = enlarge(load(models["swinir"], 64, 96, tile=48, halo=facts.halo), picture)
    assert np.abs(tiled - whole).max() <= 1
