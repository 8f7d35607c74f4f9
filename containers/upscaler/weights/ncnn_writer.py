"""Writing networks in ncnn's format, from the same tensors that PyTorch loads.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from containers.upscaler.weights.ncnn_format import (
    FLOAT16_TAG,
    FLOAT32_TAG,
    MAGIC,
)

INPUT, OUTPUT = "data", "cells"
_LEAKY = "9=2 -23310=1,2.000000e-01"
_ADD_FIFTH = "0=1 -23301=2,2.000000e-01,1.000000e+00"

Tensors = Mapping[str, NDArray[np.generic]]


class Writer:
    """Collects layers in order; `finish` gives the text and the weights' bytes."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._layers: list[tuple[str, list[str], str, str]] = []
        self._weights: list[bytes] = []

    def layer(self, kind: str, inputs: list[str], options: str, output: str = "") -> str:
        """Add a layer without weights; returns the name of its output."""
        name = output or f"blob{len(self._layers)}"
        self._layers.append((kind, inputs, name, options))
        return name

    def convolution(self, source: str, name: str, options: str = "", output: str = "") -> str:
        """3x3, stride 1, padded with zeros to the same size."""
        weight = np.ascontiguousarray(self._tensors[f"{name}.weight"])
        outputs, count = weight.shape[0], weight.size
        half = weight.dtype == np.float16
        stored = weight.astype("<f2" if half else "<f4").tobytes()
        tag = np.array([FLOAT16_TAG if half else FLOAT32_TAG], "<u4").tobytes()
        bias = self._tensors[f"{name}.bias"].astype("<f4").tobytes()
        self._weights += [tag, stored, bytes(-len(stored) % 4), bias]
        shape = f"0={outputs} 1=3 4=1 5=1 6={count} {options}"
        return self.layer("Convolution", [source], shape, output)

    def prelu(self, source: str, name: str) -> str:
        slopes = self._tensors[f"{name}.weight"].astype("<f4")
        self._weights.append(slopes.tobytes())
        return self.layer("PReLU", [source], f"0={slopes.size}")

    def finish(self) -> tuple[str, bytes]:
        """ncnn wants every use of a blob but a single one to go through a Split layer."""
        uses = Counter(name for _, inputs, _, _ in self._layers for name in inputs)
        given: Counter[str] = Counter()
        lines: list[str] = []
        for number, (kind, inputs, output, options) in enumerate(self._layers):
            read: list[str] = []
            for name in inputs:
                read.append(name if uses[name] == 1 else f"{name}_{given[name]}")
                given[name] += 1
            lines.append(_line(kind, f"l{number}", read, [output], options))
            if uses[output] > 1:
                copies = [f"{output}_{i}" for i in range(uses[output])]
                lines.append(_line("Split", f"s{number}", [output], copies, ""))
        blobs = len({name for line in lines for name in _outputs(line)})
        return "\n".join((MAGIC, f"{len(lines)} {blobs}", *lines, "")), b"".join(self._weights)


def compact(tensors: Tensors) -> tuple[str, bytes]:
    """SRVGGNetCompact up to its last convolution; the tail shuffles and adds the base picture."""
    net = Writer(tensors)
    blob = net.layer("Input", [], "", INPUT)
    last = max(int(name.split(".")[1]) for name in tensors)
    for number in range(0, last, 2):
        blob = net.prelu(net.convolution(blob, f"body.{number}"), f"body.{number + 1}")
    net.convolution(blob, f"body.{last}", output=OUTPUT)
    return net.finish()


def rrdb(tensors: Tensors) -> tuple[str, bytes]:
    """RRDBNet for x4, whole."""
    net = Writer(tensors)
    first = blob = net.convolution(net.layer("Input", [], "", INPUT), "conv_first")
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
    return net.finish()


def _dense(net: Writer, source: str, name: str) -> str:
    seen = [source]
    for number in range(1, 5):
        joined = net.layer("Concat", list(seen), "0=0") if len(seen) > 1 else source
        seen.append(net.convolution(joined, f"{name}.conv{number}", _LEAKY))
    joined = net.layer("Concat", list(seen), "0=0")
    return net.layer("Eltwise", [net.convolution(joined, f"{name}.conv5"), source], _ADD_FIFTH)


def _line(kind: str, name: str, inputs: list[str], outputs: list[str], options: str) -> str:
    words = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, options]
    return " ".join(words).strip()


def _outputs(line: str) -> list[str]:
    words = line.split()
    inputs, outputs = int(words[2]), int(words[3])
    return words[4 + inputs : 4 + inputs + outputs]
