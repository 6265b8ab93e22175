"""Orbital ramps and height-correlated delay: sums for a least-squares fit, and its removal.

``u`` and ``v`` are the coordinates of a place and ``h`` its height, all scaled to about +-1.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["moments", "remove"]

_CYCLE = 2.0 * np.pi
_PER_CYCLE = 1.0 / _CYCLE
# Places whose products are kept at hand while every pair is summed over them.
_TILE = 256


@jit
def moments(
    phase: AnyArray, u: AnyArray, v: AnyArray, h: AnyArray, use: AnyArray, terms: AnyArray, out: AnyArray
) -> None:
    """Sums over the places used and valid in each pair.

    ``terms`` are numbers out of ``1, u, v, u2, uv, v2, h`` (0 to 6). A row of ``out`` holds the upper triangle of
    ``sum g g'`` row by row, then ``sum phase g``, then ``sum phase^2``, with ``g`` the terms at a place.
    """
    size = terms.size
    half = size * (size + 1) // 2
    pairs, places = phase.shape
    every = np.empty(7)
    design = np.empty((_TILE, size))
    products = np.empty((_TILE, half))
    index = np.empty(_TILE, np.int64)
    out[:] = 0.0
    for begin in range(0, places, _TILE):
        count = 0
        for n in range(begin, min(begin + _TILE, places)):
            if not use[n]:
                continue
            every[0], every[1], every[2] = 1.0, u[n], v[n]
            every[3], every[4], every[5] = u[n] * u[n], u[n] * v[n], v[n] * v[n]
            every[6] = h[n]
            q = 0
            for a in range(size):
                design[count, a] = every[terms[a]]
                for b in range(a, size):
                    products[count, q] = every[terms[a]] * every[terms[b]]
                    q += 1
            index[count] = n
            count += 1
        for p in range(pairs):
            for c in range(count):
                value = np.float64(phase[p, index[c]])
                if not np.isfinite(value):
                    continue
                for q in range(half):
                    out[p, q] += products[c, q]
                for a in range(size):
                    out[p, half + a] += value * design[c, a]
                out[p, half + size] += value * value


@jit
def remove(
    coefficients: AnyArray,
    wrapped: bool,
    start: int,
    stop: int,
    phase: AnyArray,
    u: AnyArray,
    v: AnyArray,
    h: AnyArray,
    out: AnyArray,
) -> None:
    """Phase less ``coefficients[pair]`` times ``u, v, u2, uv, v2, h``; wrapped again where it was wrapped."""
    for p in range(phase.shape[0]):
        a, b, c, d, e, f = coefficients[p]
        for n in range(start, stop):
            x, y = u[n], v[n]
            value = np.float64(phase[p, n]) - (a * x + b * y + (c * x + d * y) * x + e * y * y + f * h[n])
            if wrapped:
                value -= _CYCLE * np.rint(value * _PER_CYCLE)
            out[p, n] = value
