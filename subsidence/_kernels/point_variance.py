"""Variances of points from those of arcs between them: non-negative weighted least squares."""

from __future__ import annotations

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["split_variance"]

#: Each step goes beyond the minimum along its coordinate: a fifth of the sweeps on a Delaunay network.
_RELAXATION = 1.5


@jit
def split_variance(
    first: AnyArray,
    other: AnyArray,
    weight: AnyArray,
    weighted: AnyArray,
    pull: AnyArray,
    scale: AnyArray,
    sweeps: int,
    tolerance: float,
    variance: AnyArray,
) -> int:
    """Minimise ``sum weight (variance[i] + variance[j] - total)^2``, each variance at least zero; sweeps made.

    The arcs of point ``i`` are ``first[i]:first[i + 1]`` of ``other``, the point each leads to, ``weight``, and
    ``weighted``, weight times total. Every point is also drawn with the weight ``pull`` to ``scale``: in a network
    without odd cycles the arcs alone do not tell its two halves apart. Coordinate by coordinate, until none
    moves by `tolerance` of ``scale``; ``variance`` holds the start.
    """
    for sweep in range(sweeps):
        moved = False
        for i in range(variance.size):
            if first[i] == first[i + 1]:
                continue
            weights, sums = pull[i], pull[i] * scale[i]
            for p in range(first[i], first[i + 1]):
                weights += weight[p]
                sums += weighted[p] - weight[p] * variance[other[p]]
            found = max(variance[i] + _RELAXATION * (sums / weights - variance[i]), 0.0)
            moved = moved or abs(found - variance[i]) > tolerance * scale[i]
            variance[i] = found
        if not moved:
            return sweep + 1
    return sweeps
