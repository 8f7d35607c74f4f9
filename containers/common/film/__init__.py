"""Films opened, decoded, mended and woven: the same pictures in every worker."""
