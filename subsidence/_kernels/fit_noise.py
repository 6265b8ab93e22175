"""Errors of fitted curves: covariance of the parameters, noise and its correlation, degrees of freedom.

A fit has ended at a least squares estimate; near it the curve is linear in its parameters, and everything here
follows from the Jacobian, the residuals and the weights. Rows times their weights are called x and z, so that
the noise of z has one variance, sigma^2. With white noise the covariance is sigma^2 (x'x)^-1; for autocorrelated
noise see ``fit_correlation``.

Series stand last, and the inner loops run over a tile of them, in SIMD. Columns get unit length before x'x is
factored: one parameter may be 1e-8 and another 100.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.fit_correlation import TILE, combine, correlation_nodes, orthonormal, over_nodes
from subsidence.typing import AnyArray, FloatArray

__all__ = ["finish_covariance"]

#: Least pivot of a matrix with ones on its diagonal: a standard deviation a million times that of a parameter alone.
_PIVOT = 1e-12


@jit
def finish_covariance(
    jacobian: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
    gaps: FloatArray,
    free: AnyArray,
    autocorrelated: bool,
    covariance: FloatArray,
    rho: FloatArray,
    sigma: FloatArray,
    dof: FloatArray,
) -> None:
    """
    Fill the errors of many least squares estimates.

    Parameters
    ----------
    jacobian
        Derivatives of the curve by its parameters, (parameters, epochs, series), not weighted.
    residual
        Data minus curve, (epochs, series), not weighted; anything where the weight is zero.
    weight
        One over the standard deviation of each epoch, (epochs, series); zero leaves the epoch out.
    gaps
        Time between epochs in median revisits, (epochs - 1,).
    free
        Which parameters were estimated, (parameters, series).
    autocorrelated
        Whether errors correlate by rho^gap.
    covariance
        Out, (parameters, parameters, series): zero for parameters that are not free; NaN where there are no
        more epochs than parameters, and for a parameter that changes the curve at no epoch. Parameters that
        cannot be told apart have variances of up to 1e12 times those that each would have alone.
    rho
        Out: correlation one median revisit apart. White: that of the residuals, with its bias taken off; NaN
        without such epochs. Autocorrelated: where the restricted likelihood is largest.
    sigma
        Out: standard deviation of the noise of unit weight.
    dof
        Out: degrees of freedom of Student's t for what follows from the covariance.
    """
    parameters, n, count = jacobian.shape
    angle, lag, scale = correlation_nodes(gaps, autocorrelated)
    x, z = np.empty((parameters, n, TILE)), np.empty((n, TILE))
    valid, m = np.empty((n, TILE)), np.empty(TILE)
    length, rss = np.empty((parameters, TILE)), np.empty(TILE)
    beside, pairs, missing = np.empty(TILE), np.empty(TILE), np.empty((parameters, TILE))
    normal = np.empty((parameters, parameters, TILE))
    factor, scratch = np.empty((parameters, parameters)), np.empty((3, parameters, parameters))
    nodes = angle.size
    likelihood, square = np.empty((nodes, TILE)), np.empty((nodes, TILE))
    middle = np.empty((nodes, parameters, parameters, TILE))
    for first in range(0, count, TILE):
        width = min(TILE, count - first)
        _weigh(jacobian, residual, weight, free, first, width, x, z, valid, m, length, rss)
        _products(x, length, normal)
        _neighbours(z, valid, gaps, beside, pairs)
        for k in range(width):
            p = 0
            for a in range(parameters):
                p += free[a, first + k]
            left = m[k] - p
            dof[first + k] = left
            if not (left > 0 and rss[k] < np.inf):
                _unknown(free, first + k, covariance, rho, sigma, dof)
                m[k] = 0.0
                normal[:, :, k] = 0.0
                continue
            for a in range(parameters):
                for b in range(parameters):
                    factor[a, b] = normal[a, b, k]
                if length[a, k] == 0.0:
                    factor[a, a] = 1.0
            _cholesky_with_floor(factor)
            _inverse_factor(factor, scratch[0])
            for a in range(parameters):
                for b in range(parameters):
                    normal[a, b, k] = scratch[0, a, b] / length[b, k] if b <= a and length[b, k] > 0.0 else 0.0
            sigma[first + k] = np.sqrt(rss[k] / left)
            if not autocorrelated:
                for a in range(parameters):
                    for b in range(parameters):
                        total = 0.0
                        for c in range(max(a, b), parameters):
                            total += normal[c, a, k] * normal[c, b, k]
                        covariance[a, b, first + k] = total * rss[k] / left
                _mark(free, length, first + k, k, covariance)
                rho[first + k] = _lag_one(beside[k], pairs[k], m[k], p, rss[k])
        if autocorrelated:
            orthonormal(x, z, normal, rss, m, missing)
            over_nodes(x, z, valid, lag, scale, likelihood, square, middle)
            for k in range(width):
                if m[k] > 0.0:
                    combine(
                        first + k, k, rss[k] / m[k], angle, likelihood, square, middle, normal, missing,
                        scratch, covariance, rho, sigma, dof,
                    )  # fmt: skip
                    _mark(free, length, first + k, k, covariance)


@jit
def _weigh(
    jacobian: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
    free: AnyArray,
    first: int,
    width: int,
    x: FloatArray,
    z: FloatArray,
    valid: FloatArray,
    m: FloatArray,
    length: FloatArray,
    rss: FloatArray,
) -> None:
    """Fill a tile with weighted rows, zero where an epoch or a parameter does not count, and their sums."""
    parameters, n, _ = x.shape
    if width < TILE:
        x[:], z[:], valid[:] = 0.0, 0.0, 0.0
    m[:], rss[:], length[:] = 0.0, 0.0, 0.0
    for i in range(n):
        for k in range(width):
            w = weight[i, first + k]
            valid[i, k] = 1.0 if w > 0.0 else 0.0
            z[i, k] = w * residual[i, first + k] if w > 0.0 else 0.0
        for k in range(TILE):
            m[k] += valid[i, k]
            rss[k] += z[i, k] * z[i, k]
    for a in range(parameters):
        for i in range(n):
            for k in range(width):
                counts = free[a, first + k] and weight[i, first + k] > 0.0
                x[a, i, k] = weight[i, first + k] * jacobian[a, i, first + k] if counts else 0.0
            for k in range(TILE):
                length[a, k] += x[a, i, k] * x[a, i, k]
        for k in range(TILE):
            length[a, k] = np.sqrt(length[a, k])


@jit
def _products(x: FloatArray, length: FloatArray, normal: FloatArray) -> None:
    """Products of columns of unit length."""
    parameters, n, _ = x.shape
    total = np.empty(TILE)
    for a in range(parameters):
        for b in range(a + 1):
            total[:] = 0.0
            for i in range(n):
                for k in range(TILE):
                    total[k] += x[a, i, k] * x[b, i, k]
            for k in range(TILE):
                both = length[a, k] * length[b, k]
                normal[a, b, k] = total[k] / both if both > 0.0 else 0.0
                normal[b, a, k] = normal[a, b, k]


@jit
def _unknown(
    free: AnyArray, place: int, covariance: FloatArray, rho: FloatArray, sigma: FloatArray, dof: FloatArray
) -> None:
    """Write a series that has no more epochs than parameters, or numbers that are not finite."""
    rho[place], sigma[place], dof[place] = np.nan, np.nan, np.nan
    for a in range(free.shape[0]):
        for b in range(free.shape[0]):
            covariance[a, b, place] = np.nan if free[a, place] and free[b, place] else 0.0


@jit
def _mark(free: AnyArray, length: FloatArray, place: int, k: int, covariance: FloatArray) -> None:
    """NaN for free parameters that change the curve at no epoch."""
    for a in range(free.shape[0]):
        for b in range(free.shape[0]):
            if free[a, place] and free[b, place] and not (length[a, k] > 0.0 and length[b, k] > 0.0):
                covariance[a, b, place] = np.nan


@jit
def _cholesky_with_floor(matrix: FloatArray) -> None:
    """
    Factor a matrix with ones on its diagonal in place.

    Where parameters cannot be told apart a pivot is zero to rounding. With the floor the variance along that
    direction is finite but huge, while the curve at the epochs, which does not change along it, keeps its own.
    """
    p = matrix.shape[0]
    for a in range(p):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = np.sqrt(max(total, _PIVOT)) if a == b else total / matrix[b, b]


@jit
def _inverse_factor(factor: FloatArray, inverse: FloatArray) -> None:
    """Inverse of a lower triangle."""
    p = factor.shape[0]
    for a in range(p):
        for b in range(p):
            inverse[a, b] = 0.0
    for b in range(p):
        inverse[b, b] = 1.0 / factor[b, b]
        for a in range(b + 1, p):
            total = 0.0
            for c in range(b, a):
                total += factor[a, c] * inverse[c, b]
            inverse[a, b] = -total / factor[a, a]


@jit
def _neighbours(z: FloatArray, valid: FloatArray, gaps: FloatArray, total: FloatArray, pairs: FloatArray) -> None:
    """Sum of the products of residuals about one median revisit apart, and how many there are."""
    total[:], pairs[:] = 0.0, 0.0
    for i in range(1, z.shape[0]):
        if 0.5 < gaps[i - 1] < 1.5:
            for k in range(TILE):
                total[k] += z[i, k] * z[i - 1, k]
                pairs[k] += valid[i, k] * valid[i - 1, k]


@jit
def _lag_one(total: float, pairs: float, m: float, p: int, rss: float) -> float:
    """
    Correlation of neighbouring residuals, with the bias that fitting a smooth curve brings taken off.

    A curve of p parameters takes away noise of low frequency, where the spectrum of first-order autoregressive
    noise is s = (1 + rho) / (1 - rho) times its mean. So of m epochs' variance 1 - s p / m is left, of their
    covariance rho - s p / m, and the quotient r of both gives back rho by a quadratic equation.
    """
    if not (pairs > 0.0 and rss > 0.0):
        return np.nan
    r = total / pairs / (rss / m)
    share = p / m
    b, c = 1.0 + r - share * (1.0 - r), r + share * (1.0 - r)
    root: float = 0.5 * (b - np.sqrt(max(b * b - 4.0 * c, 0.0)))
    return min(max(root, -1.0), 1.0)
