"""Iteratively reweighted least squares on a network, for places side by side."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.laplacian import factor, normal_matrix, right_hand_side, solve
from subsidence.typing import AnyArray

__all__ = ["HUBER", "L1", "NOT_ROBUST", "reweight", "variance_factor"]

NOT_ROBUST, HUBER, L1 = 0, 1, 2

_HUBER = 1.345
_ITERATIONS = 60
_CONVERGED = 1e-4  # rad
# Huber's scale follows the residuals this long, then stands still: the loss is convex only then.
_SCALED = 8


@jit
def reweight(
    phi: AnyArray,
    base: AnyArray,
    weight: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    sign: AnyArray,
    robust: int,
    count: AnyArray,
    band: AnyArray,
    scaled: AnyArray,
    lost: AnyArray,
    x: AnyArray,
    previous: AnyArray,
    scale: AnyArray,
    converged: AnyArray,
) -> None:
    """Iteratively reweighted least squares; a place that has converged keeps its weights."""
    pairs, lanes = phi.shape
    unknowns = x.shape[0]
    size = np.empty(pairs)
    smooth = 0.1 * np.ones(lanes)  # rad below which L1 is rounded off; shrinks as it converges
    for lane in range(lanes):
        converged[lane] = count[lane] == 0
        scale[lane] = 1e-6
    for k in range(pairs):
        for lane in range(lanes):
            weight[k, lane] = base[k, lane]
    for iteration in range(_ITERATIONS):
        if converged.sum() == lanes:
            break
        for i in range(unknowns):
            for lane in range(lanes):
                previous[i, lane] = x[i, lane]
        for lane in range(lanes):
            if converged[lane]:
                continue
            if robust == HUBER and iteration < _SCALED:
                used = 0
                for k in range(pairs):
                    if base[k, lane] > 0.0:
                        size[used] = abs(_residual(phi, lower, upper, sign, x, k, lane)) * np.sqrt(base[k, lane])
                        used += 1
                scale[lane] = max(1.4826 * _median(size, used), 1e-6)
            bound = _HUBER * scale[lane]
            for k in range(pairs):
                if base[k, lane] > 0.0:
                    r = abs(_residual(phi, lower, upper, sign, x, k, lane))
                    if robust == HUBER:
                        r *= np.sqrt(base[k, lane])
                        weight[k, lane] = base[k, lane] * (1.0 if r <= bound else bound / r)
                    else:
                        weight[k, lane] = base[k, lane] / max(r, smooth[lane])
        normal_matrix(weight, lower, upper, band)
        factor(band, scaled, lost)
        right_hand_side(phi, weight, lower, upper, sign, x)
        solve(band, x)
        for lane in range(lanes):
            if converged[lane]:
                continue
            change = 0.0
            for i in range(unknowns):
                change = max(change, abs(x[i, lane] - previous[i, lane]))
            if robust == L1 and smooth[lane] > 1e-4:
                if change < smooth[lane]:
                    smooth[lane] *= 0.3
            else:
                converged[lane] = change < _CONVERGED


@jit
def variance_factor(
    phi: AnyArray,
    base: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    sign: AnyArray,
    robust: int,
    parts: AnyArray,
    x: AnyArray,
    scale: AnyArray,
    least_variance: float,
    variance: AnyArray,
) -> None:
    """What the inverse of the normal matrix of the ``base`` weights is multiplied by.

    Huber: his asymptotic covariance with the correction for few observations (Huber 1981, eq. 7.6.11). L1:
    pi / 2 times the variance of the bulk, whose size is the median of the residuals without the
    ``unknowns`` that L1 fits exactly (Maronna et al. 2006, section 4.4).
    """
    pairs, lanes = phi.shape
    size = np.empty(pairs)
    for lane in range(lanes):
        fitted = np.int64(x.shape[0] - parts[lane])
        used = 0
        for k in range(pairs):
            if base[k, lane] > 0.0:
                size[used] = abs(_residual(phi, lower, upper, sign, x, k, lane)) * np.sqrt(base[k, lane])
                used += 1
        found = np.nan
        if used > fitted:
            if robust == HUBER:
                squares = 0.0
                inside = 0
                for k in range(used):
                    bounded = min(size[k], _HUBER * scale[lane])
                    squares += bounded * bounded
                    inside += size[k] <= _HUBER * scale[lane]
                share = max(inside, 1) / used
                correction = 1.0 + fitted / used * (1.0 - share) / share
                found = (correction / share) ** 2 * squares / (used - fitted)
            else:
                _sort(size, used)
                bulk = 1.4826 * 0.5 * (size[fitted + (used - fitted) // 2] + size[fitted + (used - fitted - 1) // 2])
                found = np.pi / 2 * bulk * bulk
            found = max(found, least_variance)
        elif least_variance > 0.0:
            found = least_variance
        variance[lane] = found


@jit
def _residual(phi: AnyArray, lower: AnyArray, upper: AnyArray, sign: AnyArray, x: AnyArray, k: int, lane: int) -> float:
    model = x[upper[k], lane]
    if lower[k] >= 0:
        model -= x[lower[k], lane]
    return float(sign[k] * phi[k, lane] - model)


@jit
def _median(values: AnyArray, used: int) -> float:
    """Median of the first ``used`` values, which are sorted on the way."""
    _sort(values, used)
    return float(0.5 * (values[used // 2] + values[(used - 1) // 2]))


@jit
def _sort(values: AnyArray, used: int) -> None:
    """Sort the first ``used`` values (Shell); numpy's own sort takes seconds to compile."""
    gap = used // 2
    while gap > 0:
        for i in range(gap, used):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 2
