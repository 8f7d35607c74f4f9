"""How a VPC is divided: pure arithmetic on addresses and zones."""

import ipaddress
from collections.abc import Sequence


def subnet_cidrs(vpc_cidr: str, count: int) -> tuple[str, ...]:
    """Cut a network into `count` equal subnets, each as large as possible.

    >>> subnet_cidrs("10.42.0.0/20", 2)
    ('10.42.0.0/21', '10.42.8.0/21')
    """
    bits = max(count - 1, 0).bit_length()
    parts = ipaddress.IPv4Network(vpc_cidr).subnets(prefixlen_diff=bits)
    return tuple(str(part) for part, _ in zip(parts, range(count), strict=False))


def choose_zones(available: Sequence[str], count: int) -> tuple[str, ...]:
    """The first `count` zones by name, so that a zone opened later moves no subnet.

    Raises ValueError where the region has fewer.
    """
    if count > len(available):
        raise ValueError(
            f"superres:zones: got {count}, must be 1 to {len(available)}: the region offers "
            + ", ".join(sorted(available))
        )
    return tuple(sorted(available)[:count])
