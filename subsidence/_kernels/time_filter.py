"""What is rough in time: a series less its motion, at many places.

Motion is a linear model (columns of a design matrix) and, of what the model leaves, the part that a local
parabola follows. Both are weighted least squares over the epochs that are there, so that unequal dates,
gaps and the ends of the series need no padding.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, solve
from subsidence.typing import FloatArray

__all__ = ["high_pass", "rough_part"]

#: Places copied together: rows of a tile are long enough for vector instructions.
_TILE = 64
#: Pivot (of a matrix that is the identity without gaps) below which the valid epochs do not hold the model.
_PIVOT = 1e-8
#: With fewer effective epochs than this in the window nothing is called motion; from `_ENOUGH` on, all of the parabola.
_FEW, _ENOUGH = 3.0, 7.0


@jit
def rough_part(
    values: FloatArray,
    basis: FloatArray,
    root: FloatArray,
    near: FloatArray,
    lag: FloatArray,
    factor: FloatArray,
    gamma: FloatArray,
    rest: FloatArray,
    out: FloatArray,
) -> None:
    """
    One series less its motion; NaN where it is NaN, and throughout where its epochs are too few for the model.

    ``basis`` is orthonormal for the design times ``root`` (roots of the epochs' weights); ``near[t, s]`` are
    the weights of epoch s in the window about t, ``lag[t, s]`` is the time from t to s in units of the window.
    """
    n, p = basis.shape
    local, right, power = np.empty((3, 3)), np.empty(3), np.empty(3)
    count = 0
    factor[:] = 0.0
    gamma[:] = 0.0
    for s in range(n):
        if np.isnan(values[s]):
            continue
        count += 1
        for a in range(p):
            gamma[a] += basis[s, a] * root[s] * values[s]
            for b in range(a + 1):
                factor[a, b] += basis[s, a] * basis[s, b]
    if count < p + 1 or not cholesky(factor, _PIVOT):
        out[:] = np.nan
        return
    solve(factor, gamma)
    for s in range(n):
        model = 0.0
        for a in range(p):
            model += basis[s, a] * gamma[a]
        rest[s] = values[s] - model / root[s]
    for t in range(n):
        if np.isnan(values[t]):
            out[t] = np.nan
            continue
        local[:] = 0.0
        right[:] = 0.0
        total, square = 0.0, 0.0
        for s in range(n):
            if np.isnan(rest[s]):
                continue
            weight = near[t, s] * root[s] * root[s]
            total += weight
            square += weight * weight
            u = lag[t, s]
            power[0], power[1], power[2] = 1.0, u, u * u
            for a in range(3):
                right[a] += weight * power[a] * rest[s]
                for b in range(a + 1):
                    local[a, b] += weight * power[a] * power[b]
        share = min(1.0, max(0.0, (total * total / square - _FEW) / (_ENOUGH - _FEW)))
        level = 0.0
        if share > 0.0 and cholesky(local, 1e-9 * total):
            solve(local, right)
            level = right[0]
        out[t] = rest[t] - share * level


@jit
def high_pass(
    start: int,
    stop: int,
    series: FloatArray,
    basis: FloatArray,
    root: FloatArray,
    near: FloatArray,
    lag: FloatArray,
    whole: FloatArray,
    out: FloatArray,
) -> None:
    """
    Fill ``out`` (epochs, places) with what is rough in time of ``series``.

    ``whole`` is the operator (epochs, epochs) of a complete series: :func:`rough_part` of the unit vectors.
    """
    n, p = basis.shape
    tile, total = np.empty((n, _TILE)), np.empty(_TILE)
    complete = np.empty(_TILE, np.bool_)
    factor, gamma = np.empty((p, p)), np.empty(p)
    values, rest, rough = np.empty(n), np.empty(n), np.empty(n)
    for first in range(start, stop, _TILE):
        count = min(_TILE, stop - first)
        complete[:] = True
        for t in range(n):
            for k in range(count):
                value = np.float64(series[t, first + k])
                tile[t, k] = value
                complete[k] = complete[k] and not np.isnan(value)
        for t in range(n):
            total[:] = 0.0
            for s in range(n):
                share = whole[t, s]
                for k in range(count):
                    total[k] += share * tile[s, k]
            for k in range(count):
                out[t, first + k] = total[k]
        for k in range(count):
            if complete[k]:
                continue
            for t in range(n):
                values[t] = tile[t, k]
            rough_part(values, basis, root, near, lag, factor, gamma, rest, rough)
            for t in range(n):
                out[t, first + k] = rough[t]
