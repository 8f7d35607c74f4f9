"""What recompose asks of its confined child; apart, for the parent loads no media library."""

from contracts.base import Contract
from contracts.film.manifest import Manifest


class ComposeTask(Contract):
    """Put a film together. Blobs follow: the stored timestamps, then the sidecar's index and the
    captions where there are any.
    """

    manifest: Manifest
    made: dict[str, int]
    """Frames decoded, upscaled and encoded, as the workers counted them."""
    result: int
    """Descriptor of the empty file for the result."""
    sidecar: int | None
    """Descriptor of its payload; None where there is no sidecar."""
    captions: bool
    shard: int
    """Descriptor of the file in which fetched shards lie."""
