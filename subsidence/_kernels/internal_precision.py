"""Scatter of the velocity among subsets or resamples of the epochs, for many places.

A set is a row of weights over the epochs: 0 and 1 where epochs are left out, counts where they are drawn with
replacement. With Q the orthonormal basis of the model and v = b' Q' d its velocity, the weighted velocity of set g is
off by ``x' Q' W r``, where r are the residuals of all epochs and ``x = (Q' W Q)^-1 b``. White noise of unit variance
makes the square of that ``x' Q' W^2 Q x - b' (Q' Q)^-1 b`` on average, whatever the set. The sum of the squares over
the sum of these expectations is therefore an estimate of the variance of the noise, and times ``b' (Q' Q)^-1 b`` one
of the velocity's: without bias for white noise, and larger where neighbouring epochs err alike.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, solve
from subsidence._kernels.trend import least_squares, tile_values
from subsidence.typing import AnyArray, FloatArray

__all__ = ["form_of_sets", "scatter_of_velocity"]

#: Places copied together, so that the inner loops run over places, in SIMD.
_TILE = 32
#: Pivot below which the epochs of a set do not hold the model.
_PIVOT = 1e-10
#: A set whose velocity has more than so many times the variance of the whole says nothing but its own weakness.
_WEAK = 100.0


def form_of_sets(weights: FloatArray, basis: FloatArray, row: FloatArray) -> FloatArray:
    """
    What all places without missing epochs share: the variance of the velocity as a quadratic form of residuals.

    Parameters
    ----------
    weights
        Of shape (sets, epochs).
    basis
        Orthonormal basis of the model, of shape (epochs, parameters).
    row
        Its combination that is the velocity, of shape (parameters,).

    Returns
    -------
    ndarray
        Of shape (epochs, epochs); NaN where no set holds the model.
    """
    n, p = basis.shape
    whole = row @ row
    expected = 0.0
    changes = []
    factor = np.empty((p, p))
    for weight in weights:
        factor[:] = basis.T @ (weight[:, None] * basis)
        if not cholesky(factor, _PIVOT):
            continue
        solution = row.copy()
        solve(factor, solution)
        if row @ solution > _WEAK * whole:
            continue
        change = weight * (basis @ solution)
        changes.append(change)
        expected += change @ change - whole
    if expected <= 1e-9 * whole:
        return np.full((n, n), np.nan)
    stacked = np.array(changes)
    total = stacked.T @ stacked
    return np.ascontiguousarray(total * (whole / expected))


@jit
def scatter_of_velocity(
    start: int,
    stop: int,
    series: FloatArray,
    basis: FloatArray,
    row: FloatArray,
    weights: FloatArray,
    form: FloatArray,
    out: FloatArray,
) -> None:
    """Standard deviation of the velocity of each place of ``series`` (epochs, places)."""
    n, p = basis.shape
    tile, even = np.zeros((_TILE, n)), np.zeros((n, _TILE))
    values, residual = np.empty(n), np.empty(n)
    index = np.empty(n, np.int64)
    factor, gamma, solution, right = np.empty((p, p)), np.empty(p), np.empty(p), np.empty(p)
    product, square = np.empty(_TILE), np.empty(_TILE)
    complete = np.empty(_TILE, np.bool_)
    sets = weights.shape[0]
    turned, squared = np.empty((n, sets)), np.empty((n, sets))  # sets last: sums over epochs run over them, in SIMD
    counted = False
    for g in range(sets):
        for i in range(n):
            turned[i, g] = weights[g, i]
            squared[i, g] = weights[g, i] ** 2
            counted |= weights[g, i] > 1.0
    if not counted:
        squared = turned
    terms = p * (p + 1) // 2
    sums = np.empty((2 * terms + p, sets))
    for first in range(start, stop, _TILE):
        count = min(_TILE, stop - first)
        tile_values(series, first, count, tile)
        some = False
        even[:] = 0.0
        for k in range(count):
            m = 0
            for i in range(n):
                if np.isfinite(tile[k, i]):
                    values[m] = tile[k, i]
                    index[m] = i
                    m += 1
            complete[k] = False
            if not least_squares(values, index, m, basis, factor, gamma, residual):
                out[first + k] = np.nan
            elif m == n:
                complete[k] = True
                some = True
                for i in range(n):
                    even[i, k] = residual[i]
            else:
                out[first + k] = _with_gaps(
                    residual, index, m, basis, row, turned, squared, counted, sums, factor, solution, right
                )  # fmt: skip
        if not some:
            continue
        for k in range(_TILE):
            square[k] = 0.0
        for i in range(n):
            for k in range(_TILE):
                product[k] = 0.0
            for j in range(n):
                f = form[i, j]
                for k in range(_TILE):
                    product[k] += f * even[j, k]
            for k in range(_TILE):
                square[k] += product[k] * even[i, k]
        for k in range(count):
            if complete[k]:
                # rounding may leave less than nothing where the motion is a line
                out[first + k] = np.nan if np.isnan(square[k]) else np.sqrt(max(square[k], 0.0))


@jit
def _with_gaps(
    residual: FloatArray,
    index: AnyArray,
    m: int,
    basis: FloatArray,
    row: FloatArray,
    turned: FloatArray,
    squared: FloatArray,
    counted: bool,
    sums: FloatArray,
    factor: FloatArray,
    solution: FloatArray,
    right: FloatArray,
) -> float:
    """The same at one place over its `m` valid epochs; `factor` comes as the Cholesky factor of all of them."""
    p = row.size
    for a in range(p):
        solution[a] = row[a]
    solve(factor, solution)
    whole = 0.0
    for a in range(p):
        whole += row[a] * solution[a]
    _sum_over_epochs(residual, index, m, basis, turned, squared, counted, sums)
    terms = p * (p + 1) // 2
    total, expected = 0.0, 0.0
    for g in range(turned.shape[1]):
        k = 0
        for a in range(p):
            right[a] = sums[2 * terms + a, g]
            solution[a] = row[a]
            for b in range(a + 1):
                factor[a, b] = sums[k, g]
                k += 1
        if not cholesky(factor, _PIVOT):
            continue
        solve(factor, solution)
        variance, change, size = 0.0, 0.0, 0.0
        k = terms
        for a in range(p):
            variance += row[a] * solution[a]
            change += right[a] * solution[a]
            for b in range(a):
                size += 2.0 * sums[k, g] * solution[a] * solution[b]
                k += 1
            size += sums[k, g] * solution[a] * solution[a]
            k += 1
        if variance > _WEAK * whole:
            continue
        total += change * change
        expected += size - whole
    if expected <= 1e-9 * whole:
        return np.nan
    return float(np.sqrt(whole * total / expected))


@jit
def _sum_over_epochs(
    residual: FloatArray,
    index: AnyArray,
    m: int,
    basis: FloatArray,
    turned: FloatArray,
    squared: FloatArray,
    counted: bool,
    sums: FloatArray,
) -> None:
    """Rows of `sums` (rows, sets): lower triangle of Q' W Q, that of Q' W^2 Q, then Q' W r."""
    p = basis.shape[1]
    sets = turned.shape[1]
    terms = p * (p + 1) // 2
    sums[:] = 0.0
    for i in range(m):
        k = 0
        for a in range(p):
            qa = basis[index[i], a]
            weighted = qa * residual[i]
            for g in range(sets):
                sums[2 * terms + a, g] += turned[index[i], g] * weighted
            for b in range(a + 1):
                both = qa * basis[index[i], b]
                for g in range(sets):
                    sums[k, g] += turned[index[i], g] * both
                if counted:
                    for g in range(sets):
                        sums[terms + k, g] += squared[index[i], g] * both
                k += 1
    if not counted:
        for k in range(terms):
            for g in range(sets):
                sums[terms + k, g] = sums[k, g]
