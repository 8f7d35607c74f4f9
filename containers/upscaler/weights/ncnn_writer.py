"""Writing networks in ncnn's format, from the same tensors that PyTorch loads.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from containers.upscaler.weights.ncnn_format import (
    FLOAT16_TAG,
    FLOAT32_TAG,
    MAGIC,
)
from contracts.models import Architecture

INPUT, OUTPUT = "data", "cells"
_LEAKY = "9=2 -23310=1,2.000000e-01"
_ADD_FIFTH = "0=1 -23301=2,2.000000e-01,1.000000e+00"

Tensors = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class NcnnNetwork:
    """A network in ncnn's format, from blob INPUT to blob OUTPUT.

    See NetworkEngine for its cells and the other fields.
    """

    param: str
    """The text of the layers."""
    weights: bytes
    scale: int
    shuffle: int
    adds_base: bool


class NcnnWriter:
    """Collects layers in order; `finish` returns their text and their weights."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._layers: list[tuple[str, list[str], str, str]] = []
        self._weights: list[bytes] = []

    def layer(self, kind: str, inputs: list[str], options: str, *, output: str = "") -> str:
        """Add a layer; return the name of its output blob."""
        name = output or f"blob{len(self._layers)}"
        self._layers.append((kind, inputs, name, options))
        return name

    def convolution(self, source: str, name: str, options: str = "", *, output: str = "") -> str:
        """Add a 3x3 convolution of stride 1, zero-padded to the same size."""
        weight = np.ascontiguousarray(self._tensors[f"{name}.weight"])
        outputs, count = weight.shape[0], weight.size
        half = weight.dtype == np.float16
        stored = weight.astype("<f2" if half else "<f4").tobytes()
        tag = np.array([FLOAT16_TAG if half else FLOAT32_TAG], "<u4").tobytes()
        bias = self._tensors[f"{name}.bias"].astype("<f4").tobytes()
        self._weights += [tag, stored, bytes(-len(stored) % 4), bias]
        shape = f"0={outputs} 1=3 4=1 5=1 6={count} {options}"
        return self.layer("Convolution", [source], shape, output=output)

    def prelu(self, source: str, name: str) -> str:
        """Add a PReLU with a slope for each channel."""
        slopes = self._tensors[f"{name}.weight"].astype("<f4")
        self._weights.append(slopes.tobytes())
        return self.layer("PReLU", [source], f"0={slopes.size}")

    def finish(self) -> tuple[str, bytes]:
        """Return the layers' text and their weights.

        In ncnn a blob that several layers read must go through a Split layer.
        """
        uses = Counter(name for _, inputs, _, _ in self._layers for name in inputs)
        given: Counter[str] = Counter()
        lines: list[str] = []
        for number, (kind, inputs, output, options) in enumerate(self._layers):
            read: list[str] = []
            for name in inputs:
                read.append(name if uses[name] == 1 else f"{name}_{given[name]}")
                given[name] += 1
            lines.append(_line(f"{kind} l{number}", read, [output], options))
            if uses[output] > 1:
                copies = [f"{output}_{i}" for i in range(uses[output])]
                lines.append(_line(f"Split s{number}", [output], copies))
        blobs = len({name for line in lines for name in _outputs(line)})
        return "\n".join((MAGIC, f"{len(lines)} {blobs}", *lines, "")), b"".join(self._weights)


def write_network(architecture: Architecture | None, tensors: Tensors) -> NcnnNetwork:
    """Write a network of the catalogue. Raises ValueError for any other architecture."""
    match architecture:
        case Architecture.COMPACT:
            return write_compact(tensors)
        case Architecture.RRDB:
            return write_rrdb(tensors)
        case _:
            raise ValueError(f"no network of architecture {architecture} can be written for ncnn")


def write_compact(tensors: Tensors) -> NcnnNetwork:
    """Write SRVGGNetCompact up to its last convolution.

    The caller shuffles the result and adds the input enlarged by nearest neighbour.
    """
    net = NcnnWriter(tensors)
    blob = net.layer("Input", [], "", output=INPUT)
    last = max(int(name.split(".")[1]) for name in tensors)
    for number in range(0, last, 2):
        blob = net.prelu(net.convolution(blob, f"body.{number}"), f"body.{number + 1}")
    net.convolution(blob, f"body.{last}", output=OUTPUT)
    return NcnnNetwork(*net.finish(), scale=4, shuffle=4, adds_base=True)


def write_rrdb(tensors: Tensors) -> NcnnNetwork:
    """Write RRDBNet for x4, whole."""
    net = NcnnWriter(tensors)
    first = blob = net.convolution(net.layer("Input", [], "", output=INPUT), "conv_first")
    blocks = {int(name.split(".")[1]) for name in tensors if name.startswith("body.")}
    for number in range(len(blocks)):
        before = blob
        for dense in ("rdb1", "rdb2", "rdb3"):
            blob = _dense(net, blob, f"body.{number}.{dense}")
        blob = net.layer("Eltwise", [blob, before], _ADD_FIFTH)
    blob = net.layer("BinaryOp", [first, net.convolution(blob, "conv_body")], "0=0")
    for name in ("conv_up1", "conv_up2"):
        enlarged = net.layer("Interp", [blob], "0=1 1=2.000000e+00 2=2.000000e+00")
        blob = net.convolution(enlarged, name, _LEAKY)
    net.convolution(net.convolution(blob, "conv_hr", _LEAKY), "conv_last", output=OUTPUT)
    return NcnnNetwork(*net.finish(), scale=4, shuffle=1, adds_base=False)


def _dense(net: NcnnWriter, source: str, name: str) -> str:
    seen = [source]
    for number in range(1, 5):
        joined = net.layer("Concat", list(seen), "0=0") if len(seen) > 1 else source
        seen.append(net.convolution(joined, f"{name}.conv{number}", _LEAKY))
    joined = net.layer("Concat", list(seen), "0=0")
    return net.layer("Eltwise", [net.convolution(joined, f"{name}.conv5"), source], _ADD_FIFTH)


def _line(layer: str, inputs: list[str], outputs: list[str], options: str = "") -> str:
    """One line of the text; `layer` is the kind and the name of the layer."""
    words = [layer, str(len(inputs)), str(len(outputs)), *inputs, *outputs, options]
    return " ".join(words).strip()


def _outputs(line: str) -> list[str]:
    words = line.split()
    inputs, outputs = int(words[2]), int(words[3])
    return words[4 + inputs : 4 + inputs + outputs]
