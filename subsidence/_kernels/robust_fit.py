"""Weights of robust losses for fitted curves, side by side in lanes, and the variance that goes with them.

A loss rho(u / c) has the influence psi = rho' and the weight psi(u) / u that makes least squares of it: Huber's
is quadratic up to c and linear beyond, Cauchy's is c^2 / 2 log(1 + (u / c)^2).
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import FloatArray

__all__ = ["CAUCHY", "HUBER", "robust_scale", "robust_variance", "robust_weights"]

HUBER, CAUCHY = 1, 2

#: Median of |N(0, 1)| is 1 / 1.4826.
_MAD = 1.482602218505602


@jit
def robust_scale(residual: FloatArray, weight: FloatArray, out: FloatArray) -> None:
    """1.4826 times the median absolute weighted residual of each lane."""
    n, lanes = residual.shape
    size = np.empty(n)
    for b in range(lanes):
        count = 0
        for i in range(n):
            if weight[i, b] > 0.0:
                value = abs(weight[i, b] * residual[i, b])
                j = count
                while j > 0 and size[j - 1] > value:
                    size[j] = size[j - 1]
                    j -= 1
                size[j] = value
                count += 1
        out[b] = _MAD * 0.5 * (size[count // 2] + size[(count - 1) // 2]) if count > 0 else 0.0


@jit
def robust_weights(residual: FloatArray, weight: FloatArray, threshold: FloatArray, loss: int, out: FloatArray) -> None:
    """Square root of the weights of least squares that has the same influence, base `weight` included."""
    n, lanes = residual.shape
    for i in range(n):
        for b in range(lanes):
            size = abs(weight[i, b] * residual[i, b]) / threshold[b]
            if loss == HUBER:
                factor = 1.0 if size <= 1.0 else 1.0 / np.sqrt(size)
            else:
                factor = 1.0 / np.sqrt(1.0 + size * size)
            out[i, b] = weight[i, b] * factor


@jit
def robust_variance(
    residual: FloatArray, weight: FloatArray, threshold: FloatArray, loss: int, parameters: FloatArray, out: FloatArray
) -> None:
    """
    What the inverse of the normal matrix of the base weights is multiplied by.

    Huber (1981), section 7.6: K^2 [sum psi^2 / (n - p)] / [mean psi']^2, with K = 1 + p / n var(psi') / mean(psi')^2.
    """
    n, lanes = residual.shape
    for b in range(lanes):
        count, squares, slopes, square_slopes = 0, 0.0, 0.0, 0.0
        for i in range(n):
            if weight[i, b] <= 0.0:
                continue
            u = weight[i, b] * residual[i, b]
            z = (u / threshold[b]) ** 2
            if loss == HUBER:
                psi_square = u * u if z <= 1.0 else threshold[b] ** 2
                slope = 1.0 if z <= 1.0 else 0.0
            else:
                psi_square = (u / (1.0 + z)) ** 2
                slope = (1.0 - z) / (1.0 + z) ** 2
            count += 1
            squares += psi_square
            slopes += slope
            square_slopes += slope * slope
        left = count - parameters[b]
        out[b] = np.nan
        if left > 0 and slopes > 0.0:
            mean = slopes / count
            spread = max(square_slopes / count - mean * mean, 0.0)
            inflation = 1.0 + parameters[b] / count * spread / (mean * mean)
            out[b] = inflation * inflation * squares / left / (mean * mean)
