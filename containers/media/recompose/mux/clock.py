"""Exact arithmetic between the film's time base and the result's."""

import math
from fractions import Fraction

import numpy as np

FINE_TIMESCALE = 10_000
MAX_TIMESCALE = 2**31 - 1


def mp4_timescale(time_base: Fraction, timestamps: np.ndarray, end_pts: int) -> int:
    """Units per second in which every timestamp is a whole number; at least 10,000.

    Of a very fine time base as much as possible is divided away, for MP4 keeps a frame's
    duration in 32 bits.
    """
    common = math.gcd(int(np.gcd.reduce(timestamps)), end_pts) or 1
    scale = (time_base * common).denominator
    while scale < FINE_TIMESCALE:
        scale *= 2
    return min(scale, MAX_TIMESCALE)


def rescale(units: int, source: Fraction, target: Fraction, later: Fraction = Fraction(0)) -> int:
    """The nearest number of units, `later` seconds later; halves go up, as the muxers' do."""
    return math.floor((units * source + later) / target + Fraction(1, 2))
