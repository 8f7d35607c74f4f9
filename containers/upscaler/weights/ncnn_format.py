"""Reading ncnn's network format: a text file of layers and a file of their weights in that order.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MAGIC = "7767517"
FLOAT16_TAG = 0x01306B47
FLOAT32_TAG = 0


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    Convolution: weight (out, in, k, k) float16 or float32 as stored, bias (out,) float32.
    PReLU: weight (channels,) float32, no bias.
    """

    kind: Literal["Convolution", "PReLU"]
    weight: NDArray[np.float16] | NDArray[np.float32]
    bias: NDArray[np.float32] | None = None


class FormatError(ValueError):
    """The files are in no form that this reader knows. `str(error)` is one sentence."""


def read_layers(param: str, weights: bytes) -> list[Layer]:
    """Read all layers with weights from a `.param`'s text and its `.bin`'s bytes, in file order.

    Raises FormatError.
    """
    lines = [line.split() for line in param.splitlines() if line.strip()]
    if not lines or lines[0] != [MAGIC]:
        raise FormatError(f"the network's text does not begin with {MAGIC}")
    reader = _Reader(weights)
    layers: list[Layer] = []
    for words in lines[2:]:
        options = _options(words)
        if words[0] == "Convolution":
            layers.append(_convolution(options, reader))
        elif words[0] == "PReLU":
            layers.append(Layer("PReLU", reader.take("<f4", options[0])))
    if reader.left:
        raise FormatError(f"{reader.left} bytes are left over after the last layer's weights")
    return layers


def _options(words: list[str]) -> dict[int, int]:
    """Read the `key=integer` words that follow the names of a layer's inputs and outputs."""
    first = 4 + int(words[2]) + int(words[3])
    pairs = (word.split("=", 1) for word in words[first:])
    return {int(key): int(value) for key, value in pairs if value.lstrip("-").isdecimal()}


def _convolution(options: dict[int, int], reader: "_Reader") -> Layer:
    outputs, side, count = options[0], options.get(1, 1), options[6]
    tag = int(reader.take("<u4", 1)[0])
    if tag not in (FLOAT16_TAG, FLOAT32_TAG):
        raise FormatError(
            f"weights of kind {tag:#x} are unknown; only float16 and float32 are supported"
        )
    flat = reader.take("<f2" if tag == FLOAT16_TAG else "<f4", count)
    bias = reader.take("<f4", outputs) if options.get(5) else None
    return Layer("Convolution", flat.reshape(outputs, -1, side, side), bias)


class _Reader:
    """Takes arrays off the front of a buffer, each padded to 4 bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._offset

    def take(self, dtype: str, count: int) -> np.ndarray:
        size = np.dtype(dtype).itemsize * count
        if size > self.left:
            raise FormatError("the weights end before the last layer")
        array = np.frombuffer(self._data, dtype, count, self._offset)
        self._offset += (size + 3) // 4 * 4
        return array
