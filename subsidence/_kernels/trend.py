"""Least squares of a linear time model at many places, ordinary and robust.

The design matrix X = Q R is given by its orthonormal basis ``basis`` (Q, of shape (epochs, parameters)) and
``back`` (the inverse of R), so that normal equations stay well conditioned whatever the unit of time, and are
the identity where no epoch is missing. Columns of X: intercept, time, then half its square when
``acceleration``, then sine and cosine of the year when ``seasonal``.

Rows of ``out``: velocity, its std, degrees of freedom, RMS residual; acceleration and std; seasonal
amplitude, std, phase, std.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, invert, solve
from subsidence.typing import AnyArray, FloatArray

__all__ = ["HUBER", "fit_huber", "fit_ols", "least_squares", "tile_values", "write_place"]

#: Places copied together, so that strided reads over time stay in cache.
_TILE = 32
#: Huber's constant: 95 % efficient under normal noise.
HUBER = 1.345
#: Median of |N(0, 1)| is 1 / 1.4826.
_MAD = 1.482602218505602
_ITERATIONS = 1000
#: Pivot (of a matrix that is the identity without gaps) below which the valid epochs do not hold the model.
_PIVOT = 1e-10
_YEAR = 2.0 * np.pi


@jit
def fit_ols(
    start: int,
    stop: int,
    series: FloatArray,
    basis: FloatArray,
    back: FloatArray,
    acceleration: bool,
    seasonal: bool,
    out: FloatArray,
) -> None:
    """Fit each place of ``series`` (epochs, places) by ordinary least squares over its valid epochs."""
    n, p = basis.shape
    tile = np.empty((_TILE, n))
    values, index = np.empty(n), np.empty(n, np.int64)
    gamma, residual = np.empty(p), np.empty(n)
    factor, cov, scratch = np.empty((p, p)), np.empty((p, p)), np.empty((3, p, p))
    for first in range(start, stop, _TILE):
        count = min(_TILE, stop - first)
        tile_values(series, first, count, tile)
        for k in range(count):
            m = _gather(tile[k], values, index)
            if not least_squares(values, index, m, basis, factor, gamma, residual):
                out[:, first + k] = np.nan
                continue
            rss = 0.0
            for i in range(m):
                rss += residual[i] * residual[i]
            invert(factor, cov, scratch[0, 0])
            variance = rss / (m - p)
            for a in range(p):
                for b in range(p):
                    cov[a, b] *= variance
            write_place(out, first + k, gamma, cov, back, m - p, np.sqrt(rss / m), acceleration, seasonal, scratch)


@jit
def fit_huber(
    start: int,
    stop: int,
    series: FloatArray,
    basis: FloatArray,
    back: FloatArray,
    acceleration: bool,
    seasonal: bool,
    out: FloatArray,
) -> None:
    """Fit each place by Huber's M-estimate, iteratively reweighted; scale from the median absolute residual."""
    n, p = basis.shape
    tile = np.empty((_TILE, n))
    values, index = np.empty(n), np.empty(n, np.int64)
    gamma, residual, weight = np.empty(p), np.empty(n), np.empty(n)
    factor, plain, cov = np.empty((p, p)), np.empty((p, p)), np.empty((p, p))
    right, scratch = np.empty(p), np.empty((3, p, p))
    for first in range(start, stop, _TILE):
        count = min(_TILE, stop - first)
        tile_values(series, first, count, tile)
        for k in range(count):
            m = _gather(tile[k], values, index)
            if not least_squares(values, index, m, basis, plain, gamma, residual):
                out[:, first + k] = np.nan
                continue
            largest = np.abs(values[:m]).max()
            scale = 0.0
            for _ in range(_ITERATIONS):
                scale = _MAD * np.median(np.abs(residual[:m]))
                if scale <= 1e-13 * largest:  # at least half the epochs lie on the line
                    break
                for i in range(m):
                    size = np.abs(residual[i])
                    weight[i] = 1.0 if size <= HUBER * scale else HUBER * scale / size
                factor[:] = 0.0
                right[:] = 0.0
                for i in range(m):
                    for a in range(p):
                        right[a] += weight[i] * basis[index[i], a] * residual[i]
                        for b in range(a + 1):
                            factor[a, b] += weight[i] * basis[index[i], a] * basis[index[i], b]
                if not cholesky(factor, 1e-14):
                    break
                solve(factor, right)
                step = 0.0
                for i in range(m):
                    change = 0.0
                    for a in range(p):
                        change += basis[index[i], a] * right[a]
                    residual[i] -= change
                    step = max(step, np.abs(change))
                for a in range(p):
                    gamma[a] += right[a]
                if step <= 1e-7 * scale:
                    break
            # Huber (1981), section 7.6: K^2 [sum psi^2 / (n - p)] / [mean psi']^2 (X'X)^-1.
            inside, square, rss = 0, 0.0, 0.0
            for i in range(m):
                size = np.abs(residual[i])
                rss += size * size
                if size <= HUBER * scale:
                    inside += 1
                    square += size * size
                else:
                    square += (HUBER * scale) ** 2
            share = inside / m
            variance = 0.0
            if share > 0.0:
                inflation = 1.0 + p / m * (1.0 - share) / share
                variance = inflation**2 * square / (m - p) / share**2
            invert(plain, cov, scratch[0, 0])
            for a in range(p):
                for b in range(p):
                    cov[a, b] *= variance
            write_place(out, first + k, gamma, cov, back, m - p, np.sqrt(rss / m), acceleration, seasonal, scratch)


@jit
def tile_values(series: FloatArray, first: int, count: int, tile: FloatArray) -> None:
    """Copy places ``first .. first + count`` into rows of `tile`, in float64."""
    for i in range(series.shape[0]):
        for k in range(count):
            tile[k, i] = series[i, first + k]


@jit
def _gather(row: FloatArray, values: FloatArray, index: AnyArray) -> int:
    m = 0
    for i in range(row.size):
        if np.isfinite(row[i]):
            values[m] = row[i]
            index[m] = i
            m += 1
    return m


@jit
def least_squares(
    values: FloatArray,
    index: AnyArray,
    m: int,
    basis: FloatArray,
    factor: FloatArray,
    gamma: FloatArray,
    residual: FloatArray,
) -> bool:
    """Solve over the `m` valid epochs; False when they do not determine the model and one degree of freedom."""
    n, p = basis.shape
    if m < p + 1:
        return False
    for a in range(p):
        for b in range(p):
            factor[a, b] = 1.0 if a == b else 0.0
    if m < n:
        factor[:] = 0.0
        for i in range(m):
            for a in range(p):
                for b in range(a + 1):
                    factor[a, b] += basis[index[i], a] * basis[index[i], b]
        if not cholesky(factor, _PIVOT):
            return False
    for a in range(p):
        gamma[a] = 0.0
    for i in range(m):
        for a in range(p):
            gamma[a] += basis[index[i], a] * values[i]
    if m < n:
        solve(factor, gamma)
    for i in range(m):
        model = 0.0
        for a in range(p):
            model += basis[index[i], a] * gamma[a]
        residual[i] = values[i] - model
    return True


@jit
def write_place(
    out: FloatArray,
    place: int,
    gamma: FloatArray,
    cov: FloatArray,
    back: FloatArray,
    dof: float,
    rms: float,
    acceleration: bool,
    seasonal: bool,
    scratch: FloatArray,
) -> None:
    """
    Turn coefficients of the orthonormal basis and their covariance into the rows of ``out``.

    `scratch`, of shape (3, parameters, parameters), saves an allocation a place.
    """
    p = gamma.size
    coefficient, half, full = scratch[0, 0], scratch[1], scratch[2]
    for a in range(p):
        coefficient[a] = 0.0
        for b in range(a, p):  # `back` is an upper triangle
            coefficient[a] += back[a, b] * gamma[b]
        for c in range(p):
            half[a, c] = 0.0
            for b in range(a, p):
                half[a, c] += back[a, b] * cov[b, c]
    for a in range(p):
        for c in range(p):
            full[a, c] = 0.0
            for b in range(c, p):
                full[a, c] += half[a, b] * back[c, b]
    out[0, place] = coefficient[1]
    out[1, place] = np.sqrt(full[1, 1])
    out[2, place] = dof
    out[3, place] = rms
    row = 4
    if acceleration:
        out[row, place] = coefficient[2]
        out[row + 1, place] = np.sqrt(full[2, 2])
        row += 2
    if seasonal:
        sine, cosine = coefficient[p - 2], coefficient[p - 1]
        var_sine, var_cosine, both = full[p - 2, p - 2], full[p - 1, p - 1], full[p - 2, p - 1]
        amplitude = np.hypot(sine, cosine)
        # A cos(2 pi t - phase): cosine part A cos(phase), sine part A sin(phase); stds to first order.
        out[row, place] = amplitude
        if amplitude > 0.0:
            s, c = sine / amplitude, cosine / amplitude
            out[row + 1, place] = np.sqrt(max(s * s * var_sine + c * c * var_cosine + 2 * s * c * both, 0.0))
            out[row + 2, place] = np.arctan2(sine, cosine) % _YEAR
            spread = max(c * c * var_sine + s * s * var_cosine - 2 * s * c * both, 0.0)
            out[row + 3, place] = np.sqrt(spread) / amplitude
        else:
            out[row + 1, place] = np.sqrt(0.5 * (var_sine + var_cosine))
            out[row + 2, place] = np.nan
            out[row + 3, place] = np.nan
