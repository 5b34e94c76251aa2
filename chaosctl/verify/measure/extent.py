"""Minima over many ranges of one column at once, by doubling: so much work as the column is long, times its logarithm.

A range [low, high) is the union of two, perhaps overlapping, of the greatest power of two that fits in it (the sparse
table of Bender & Farach-Colton, "The LCA Problem Revisited", 2000). Only one level is held at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import Int64

NEVER = np.iinfo(np.int64).max
_PIECE = 1 << 18


def least_within(values: Int64, low: Int64, high: Int64) -> Int64:
    """Return the least of `values` in each range [low, high); NEVER for an empty one."""
    found = np.full(len(low), NEVER, np.int64)
    level = _levels(low, high)
    current = values.copy()
    for exponent in range(int(level.max(initial=-1)) + 1):
        if exponent:
            current = _doubled(current, 1 << (exponent - 1))
        asked = np.flatnonzero(level == exponent)
        found[asked] = np.minimum(current[low[asked]], current[high[asked] - (1 << exponent)])
    return found


def _doubled(current: Int64, half: int) -> Int64:
    """Return the least of each place and the one `half` a step on, in place, a piece at a time: columns are long."""
    length = len(current) - half
    for start in range(0, length, _PIECE):
        piece = slice(start, min(start + _PIECE, length))
        np.minimum(current[piece], current[piece.start + half : piece.stop + half], out=current[piece])
    return current[:length]


def lowered_to(length: int, low: Int64, high: Int64, value: Int64) -> Int64:
    """Return for each of `length` places the least `value` of the ranges [low, high) over it; NEVER where none is."""
    level = _levels(low, high)
    current = np.empty(0, np.int64)
    for exponent in range(int(level.max(initial=-1)), -1, -1):
        wider, current = current, np.full(length - (1 << exponent) + 1, NEVER, np.int64)
        current[: len(wider)] = wider
        if len(wider):
            half = 1 << exponent
            np.minimum(current[half:], wider, out=current[half:])
        given = np.flatnonzero(level == exponent)
        np.minimum.at(current, low[given], value[given])
        np.minimum.at(current, high[given] - (1 << exponent), value[given])
    return current if len(current) else np.full(length, NEVER, np.int64)


def _levels(low: Int64, high: Int64) -> npt.NDArray[np.int8]:
    """Return the exponent of the greatest power of two that fits in each range; -1 for an empty one."""
    mantissa, exponent = np.frexp(np.maximum(high - low, 0).astype(np.float64))
    return np.where(mantissa > 0, exponent - 1, -1).astype(np.int8)
