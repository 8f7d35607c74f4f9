"""The two networks of Real-ESRGAN (Wang et al., https://arxiv.org/abs/2107.10833)."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from containers.upscaler.models.networks.network import CatalogueNetwork

SCALE = 4


class Compact(CatalogueNetwork):
    """SRVGGNetCompact: a plain chain of convolutions that adds detail to the enlarged input."""

    scale = shuffle = SCALE
    adds_base = True
    exact = ("body.0.", "body.1.")

    def __init__(self, features: int = 64, convolutions: int = 16) -> None:
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            body += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        body.append(nn.Conv2d(features, 3 * SCALE**2, 3, padding=1))
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.body:
            x = layer(x.to(_dtype(layer)))
        return x


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x.to(_dtype(self.conv1))
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, _leaky(conv(seen))), dim=1)
        return torch.add(x, self.conv5(seen).to(x.dtype), alpha=0.2)


class ResidualDenseBlocks(nn.Module):
    """Residual in residual: three dense blocks."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=0.2)


class RRDBNet(CatalogueNetwork):
    """The generator of ESRGAN: `blocks` residual blocks, then twice nearest x2 and convolution."""

    scale, shuffle = SCALE, 1
    adds_base = False
    exact = ("conv_first.", "conv_last.")

    def __init__(self, blocks: int, features: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualDenseBlocks(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        narrow = _dtype(self.conv_body)
        first = self.conv_first(x)
        y = first + self.conv_body(self.body(first).to(narrow)).to(first.dtype)
        for conv in (self.conv_up1, self.conv_up2):
            enlarged = functional.interpolate(y.to(narrow), scale_factor=2.0, mode="nearest")
            y = _leaky(conv(enlarged))
        return self.conv_last(_leaky(self.conv_hr(y)).to(_dtype(self.conv_last)))


def _dtype(layer: nn.Module) -> torch.dtype:
    """Return the type of the layer's weights."""
    return cast("Tensor", layer.weight).dtype


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2, inplace=True)
