"""Models on this machine: the catalogue's weights, and models that users bring."""
