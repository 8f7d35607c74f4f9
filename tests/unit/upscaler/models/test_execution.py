"""Graphs: recorded once a shape, equal to the network, refused where they are not."""

import functools
import logging

import pytest
import torch
from torch import Tensor

from containers.upscaler.models.engines import execution
from containers.upscaler.models.engines.execution import (
    CudaRecorder,
    ExecutionMode,
    NetworkCall,
    RecordedNetwork,
    Recording,
    default_mode,
    prepare_call,
    record_plainly,
)
from containers.upscaler.models.networks.real_esrgan import Compact


class Counting:
    """A recorder that counts what it records."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, call: NetworkCall, x: Tensor) -> Recording:
        self.shapes.append(tuple(x.shape))
        return record_plainly(call, x)


def small() -> torch.nn.Module:
    torch.manual_seed(1)
    return Compact(features=8, convolutions=2).eval().requires_grad_(False)


def pictures(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 12, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mode", [ExecutionMode.EAGER, ExecutionMode.GRAPHS])
def test_every_way_of_running_gives_the_networks_result(mode: ExecutionMode) -> None:
    network = small()
    call = prepare_call(network, mode, "cpu")
    for seed, width in enumerate((16, 24, 16)):
        x = pictures(2, width, seed)
        assert torch.equal(call(x), network(x))


def test_a_network_is_traced_in_one_piece_and_equals_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The twin of compiling, without the compiler, which not every machine has."""
    traced = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", traced)
    network, x = small(), pictures(2, 16)
    with torch.inference_mode():
        assert torch.equal(prepare_call(network, ExecutionMode.COMPILED, "cpu")(x), network(x))


def test_each_shape_is_recorded_once() -> None:
    recorder = Counting()
    call = RecordedNetwork(small(), recorder)
    for width in (16, 24, 16, 24):
        call(pictures(1, width))
    assert recorder.shapes == [(1, 3, 12, 16), (1, 3, 12, 24)]


def test_a_recording_whose_result_froze_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def frozen(call: NetworkCall, x: Tensor) -> Recording:
        return Recording(x.clone(), call(x), lambda: None)

    network = small()
    call = RecordedNetwork(network, frozen)
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            x = pictures(1, 16, seed)
            assert torch.equal(call(x), network(x))
    (message,) = caplog.messages
    assert "differs from its network by" in message


def test_a_recording_that_gives_no_numbers_is_not_used() -> None:
    def broken(call: NetworkCall, x: Tensor) -> Recording:
        return Recording(x.clone(), torch.full_like(call(x), torch.nan), lambda: None)

    assert torch.isfinite(RecordedNetwork(small(), broken)(pictures(1, 16))).all()


def test_memory_that_holds_no_recording_may_hold_the_network(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def short(_call: NetworkCall, _x: Tensor) -> Recording:
        raise torch.OutOfMemoryError("no more")

    network = small()
    x = pictures(1, 16)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(RecordedNetwork(network, short)(x), network(x))
    assert "too little memory to record a graph" in caplog.text


def test_shapes_beyond_the_most_run_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_SHAPES", 1)
    recorder, network = Counting(), small()
    call = RecordedNetwork(network, recorder)
    for width in (16, 24):
        x = pictures(1, width)
        assert torch.equal(call(x), network(x))
    assert recorder.shapes == [(1, 3, 12, 16)]


def test_graphs_are_for_devices_that_have_them() -> None:
    assert default_mode("cuda") is ExecutionMode.GRAPHS
    assert default_mode("cpu") is ExecutionMode.EAGER


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_cuda_graphs_equal_their_network(dtype: torch.dtype) -> None:
    network = small().to("cuda", dtype)
    call = RecordedNetwork(network, CudaRecorder())
    with torch.inference_mode():
        for seed, width in enumerate((64, 96, 64)):
            x = pictures(2, width, seed).to("cuda", dtype)
            assert torch.equal(call(x), network(x))


@pytest.mark.gpu
def test_compiled_networks_stay_within_the_bound() -> None:
    network = small().to("cuda", torch.float16)
    x = pictures(2, 64).to("cuda", torch.float16)
    with torch.inference_mode():
        found = prepare_call(network, ExecutionMode.COMPILED, "cuda")(x)
        assert float((found - network(x)).abs().max()) <= execution.BOUND
