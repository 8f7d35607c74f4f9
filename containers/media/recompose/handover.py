"""What recompose asks of its confined child; apart, for the asker loads no media libraries."""

from contracts.base import Contract
from contracts.film.manifest import Manifest


class ComposeTask(Contract):
    """Put a film together. Behind it come the stored timestamps, then the sidecar's index and the
    captions if there are any, a blob each.
    """

    manifest: Manifest
    made: dict[str, int]
    """Frames decoded, upscaled and encoded, by what the workers counted."""
    result: int
    """Descriptor of the empty file for the result."""
    sidecar: int | None
    """Descriptor of its payload; None where there is no sidecar."""
    captions: bool
    shard: int
    """Descriptor of the file in which fetched shards lie."""
