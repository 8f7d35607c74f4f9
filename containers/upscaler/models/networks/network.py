"""What every network of the catalogue says about itself to the engine that runs it."""

from torch import nn


class CatalogueNetwork(nn.Module):
    """RGB in 0 to 1 of shape (n, 3, h, w) -> `cells` of shape (n, 3 * shuffle**2, y, x).

    pixel_shuffle by `shuffle` turns cells into RGB of `scale` times the input's size. Code that
    rounds cells and shuffles afterwards moves a quarter of the bytes.

    Each layer computes in the type of its weights. In bfloat16, whose eight bits of mantissa would
    show in flat areas, the layers named in `exact` stay in float32, and the residual trunk with
    them: at no measurable cost the largest error falls from 10 to 2 levels of 255
    (docs/decisions/0006).
    """

    scale: int
    shuffle: int
    adds_base: bool
    """Whether the caller must add the input, enlarged by nearest neighbour, to the result."""
    exact: tuple[str, ...]
    """Prefixes of the parameters that stay in float32 where the others are bfloat16."""
