"""Interfaces: a subclass that forgets a method cannot be constructed."""

from collections.abc import Callable

import pytest

from containers.upscaler.models.engines.network_engine import NetworkEngine
from containers.upscaler.models.engines.torch_engine import TorchEngine
from containers.upscaler.models.lanczos import LanczosUpscaler
from containers.upscaler.models.upscaler import Upscaler


def without(whole: type, base: type, method: str) -> Callable[[], object]:
    """A subclass of `base` with the methods of `whole`, except one."""
    members = {
        name: value
        for name, value in vars(whole).items()
        if name != method and (callable(value) or isinstance(value, property))
    }
    return type("Forgetful", (base,), {**members, "__init__": object.__init__})


@pytest.mark.parametrize("method", sorted(Upscaler.__abstractmethods__))
def test_an_upscaler_without_a_method_cannot_be_constructed(method: str) -> None:
    with pytest.raises(TypeError, match=f"abstract method '?{method}"):
        without(LanczosUpscaler, Upscaler, method)()
    without(LanczosUpscaler, Upscaler, "nothing")()


@pytest.mark.parametrize("method", sorted(NetworkEngine.__abstractmethods__))
def test_an_engine_without_a_method_cannot_be_constructed(method: str) -> None:
    with pytest.raises(TypeError, match=f"abstract method '?{method}"):
        without(TorchEngine, NetworkEngine, method)()
    without(TorchEngine, NetworkEngine, "nothing")()


def test_the_interfaces_hold_what_their_callers_call() -> None:
    assert {"begin", "busy_seconds", "device_memory_mib", "tile"} == Upscaler.__abstractmethods__
    assert {"run", "peak_memory_mib"} == NetworkEngine.__abstractmethods__
