"""What recompose asks of its confined child; apart, for the asker loads no media libraries."""

from contracts.base import Contract
from contracts.manifest import Manifest


class Compose(Contract):
    """Put a film together. Behind it come the stored timestamps, and the sidecar's index if there
    is one, a blob each.
    """

    manifest: Manifest
    result: int
    """Descriptor of the empty file for the result."""
    sidecar: int | None
    """Descriptor of its payload; None where there is no sidecar."""
    shard: int
    """Descriptor of the file in which fetched shards lie."""
