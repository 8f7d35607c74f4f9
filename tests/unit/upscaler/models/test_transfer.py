"""To the device and back: nothing lost, nothing overtaken, the device's time counted."""

import pytest
import torch

from containers.upscaler.models.engines.transfer import Transfer

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_tensors_come_back_as_they_went(device: str, dtype: torch.dtype) -> None:
    transfer = Transfer(torch.device(device))
    tensors = [torch.arange(n, n + 60).reshape(3, 4, 5).to(dtype) for n in range(10)]
    arrivals = []
    for tensor in tensors:
        there = transfer.upload(tensor)
        assert there.device.type == device
        with transfer.computing():
            made = there.clone()
        arrivals.append(transfer.download(made))
    for arrival, tensor in zip(arrivals, tensors, strict=True):
        assert torch.equal(arrival.tensor(), tensor)
        assert arrival.tensor().device.type == "cpu"


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_computed_counts_as_the_devices_time(device: str) -> None:
    transfer = Transfer(torch.device(device))
    assert transfer.busy_seconds() == 0
    x = transfer.upload(torch.ones(256, 256))
    with transfer.computing():
        x = x @ x
    transfer.download(x).wait()
    once = transfer.busy_seconds()
    assert once > 0
    assert transfer.busy_seconds() == once


@pytest.mark.gpu
def test_what_lies_on_the_device_already_is_there_before_it_is_used() -> None:
    """Weights and tables are put on the default stream."""
    transfer = Transfer(torch.device("cuda"))
    for number in range(20):
        weights = torch.zeros(4000, 4000, device="cuda")
        for _ in range(20):
            weights += 1
        with transfer.computing():
            sums = weights.sum(dim=0)
        found = transfer.download(sums).tensor()
        assert torch.equal(found, torch.full((4000,), 4000.0 * 20)), number
        torch.cuda.synchronize()


@pytest.mark.gpu
def test_batches_under_way_do_not_overtake_each_other() -> None:
    transfer = Transfer(torch.device("cuda"))
    arrivals = []
    for number in range(50):
        x = transfer.upload(torch.full((1000, 1000), float(number)))
        with transfer.computing():
            for _ in range(20):
                x = x + 1
        arrivals.append(transfer.download(x))
        del x
    for number, arrival in enumerate(arrivals):
        assert torch.equal(arrival.tensor(), torch.full((1000, 1000), number + 20.0))


@pytest.mark.parametrize("device", DEVICES)
def test_only_a_device_of_its_own_works_on_several_batches(device: str) -> None:
    assert (Transfer(torch.device(device)).in_flight > 1) == (device != "cpu")
