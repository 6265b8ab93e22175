"""Errors of fitted curves under first-order autoregressive noise of unknown correlation.

The noise of z, residuals times weights, correlates by rho^g at epochs g median revisits apart, as in ``ar1``. A
least squares estimate keeps its value and has the covariance sigma^2 (x'x)^-1 x'Rx (x'x)^-1, R the
correlations. As there, rho is not set to its best value: the restricted likelihood is laid over nodes evenly
spaced in arcsin(rho) and, with the prior (1 + rho)^(-1/2), weighs the covariances that the nodes give, each by
its own precision besides. At one node the error of the curve is a Student t, a normal whose precision is a
gamma variate. The degrees of freedom are those of the t whose precision has the first two moments of the
mixture, for the variance of the curve at the mean of the epochs.

Columns of x are made orthonormal first, which makes every node's matrix close to the identity whatever the
units of the parameters. Series stand last, and the inner loops run over a tile of them, in SIMD.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky
from subsidence.typing import FloatArray

__all__ = ["TILE", "combine", "correlation_nodes", "orthonormal", "over_nodes"]

#: Series handled together.
TILE = 32
#: Spacing of nodes in widths of the likelihood, and the fewest of them, as in ``ar1``.
_SPACING = 1.2
_FEWEST_NODES = 15
#: 1 - a^2 never falls below this: epochs seconds apart would make whitening infinite.
_FLOOR = 1e-12


@jit
def correlation_nodes(gaps: FloatArray, autocorrelated: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Angle of each node, correlations across each gap, and what whitening multiplies by."""
    n = gaps.size + 1
    count = max(_FEWEST_NODES, int(np.ceil(np.pi * np.sqrt(n) / _SPACING))) if autocorrelated else 0
    angle, lag, scale = np.empty(count), np.empty((count, n - 1)), np.empty((count, n - 1))
    for j in range(count):
        angle[j] = ((j + 0.5) / count - 0.5) * np.pi
        value = np.sin(angle[j])
        for i in range(n - 1):
            size = np.abs(value) ** gaps[i]
            lag[j, i] = -size if value < 0.0 and np.rint(gaps[i]) % 2 == 1 else size
            scale[j, i] = 1.0 / np.sqrt(max(1.0 - size * size, _FLOOR))
    return angle, lag, scale


@jit
def orthonormal(
    x: FloatArray, z: FloatArray, back: FloatArray, rss: FloatArray, m: FloatArray, missing: FloatArray
) -> None:
    """
    Make the columns of x orthonormal in place, and z of mean square one.

    `missing` is how far a column's square falls short of one: where its pivot was below the floor there is no
    such column, and what is left of it, rounding, becomes zero.
    """
    parameters, n, _ = x.shape
    unit, row = np.empty(TILE), np.empty((parameters, TILE))
    missing[:] = 1.0
    for k in range(TILE):
        unit[k] = np.sqrt(m[k] / rss[k]) if rss[k] > 0.0 else 0.0
    for i in range(n):
        for a in range(parameters):
            for k in range(TILE):
                row[a, k] = 0.0
            for b in range(a + 1):
                for k in range(TILE):
                    row[a, k] += back[a, b, k] * x[b, i, k]
        for a in range(parameters):
            for k in range(TILE):
                x[a, i, k] = row[a, k]
                missing[a, k] -= row[a, k] * row[a, k]
        for k in range(TILE):
            z[i, k] *= unit[k]
    for a in range(parameters):
        for k in range(TILE):
            if missing[a, k] > 0.5:
                missing[a, k] = 1.0
                for i in range(n):
                    x[a, i, k] = 0.0


@jit
def over_nodes(
    x: FloatArray,
    z: FloatArray,
    valid: FloatArray,
    lag: FloatArray,
    scale: FloatArray,
    likelihood: FloatArray,
    square: FloatArray,
    middle: FloatArray,
) -> None:
    """
    Fill what each node of rho gives.

    Restricted log-likelihood without the part of the residuals; their sum of squares, whitened; and x'Rx, by
    the recursion u_i = a_i (u_(i-1) + x_(i-1)): x_i u_i is x_i with all epochs before it.
    """
    parameters, n, _ = x.shape
    complete = True
    for i in range(n):
        for k in range(TILE):
            complete &= valid[i, k] > 0.0
    a, w, product = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    before, now = np.empty((parameters + 1, TILE)), np.empty((parameters + 1, TILE))
    past = np.empty((parameters, TILE))
    gram, dots = np.empty((parameters, parameters, TILE)), np.empty((parameters, TILE))
    own, right = np.empty((parameters, parameters)), np.empty(parameters)
    for j in range(lag.shape[0]):
        likelihood[j], square[j], middle[j] = 0.0, 0.0, 0.0
        a[:], w[:], product[:] = 0.0, 1.0, 1.0
        before[:], past[:], gram[:], dots[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            if i > 0 and complete:
                for k in range(TILE):
                    a[k] = lag[j, i - 1]
                    w[k] = scale[j, i - 1]
            elif i > 0:
                # Correlation across the epochs that are left out is the product over them.
                for k in range(TILE):
                    a[k] = lag[j, i - 1] * (a[k] if valid[i - 1, k] == 0.0 else 1.0)
                    w[k] = 1.0 / np.sqrt(max(1.0 - a[k] * a[k], _FLOOR))
            for k in range(TILE):
                now[parameters, k] = (z[i, k] - a[k] * before[parameters, k]) * w[k] * valid[i, k]
                square[j, k] += now[parameters, k] * now[parameters, k]
                product[k] *= w[k] if valid[i, k] > 0.0 else 1.0
            for c in range(parameters):
                for k in range(TILE):
                    now[c, k] = (x[c, i, k] - a[k] * before[c, k]) * w[k] * valid[i, k]
                    dots[c, k] += now[c, k] * now[parameters, k]
                    past[c, k] = (past[c, k] + before[c, k]) * a[k] if valid[i, k] > 0.0 else past[c, k]
            for c in range(parameters):
                for d in range(c + 1):
                    for k in range(TILE):
                        gram[c, d, k] += now[c, k] * now[d, k]
                        middle[j, c, d, k] += x[c, i, k] * (x[d, i, k] + past[d, k]) + past[c, k] * x[d, i, k]
            for k in range(TILE):
                before[parameters, k] = z[i, k] if valid[i, k] > 0.0 else before[parameters, k]
            for c in range(parameters):
                for k in range(TILE):
                    before[c, k] = x[c, i, k] if valid[i, k] > 0.0 else before[c, k]
            if i % 16 == 15 or i == n - 1:  # at most 1e6 each: one logarithm for sixteen
                for k in range(TILE):
                    likelihood[j, k] += np.log(product[k])
                    product[k] = 1.0
        for k in range(TILE):
            for c in range(parameters):
                for d in range(c + 1):
                    own[c, d] = gram[c, d, k]
                    own[d, c] = own[c, d]
                right[c] = dots[c, k]
                if own[c, c] == 0.0:  # a parameter that is not free, or like others
                    own[c, c] = 1.0
            if not cholesky(own, 0.0):
                likelihood[j, k] = -np.inf
                continue
            for c in range(parameters):
                for d in range(c):
                    right[c] -= own[c, d] * right[d]
                right[c] /= own[c, c]
                square[j, k] -= right[c] * right[c]
                likelihood[j, k] -= np.log(own[c, c])


@jit
def combine(
    place: int,
    k: int,
    unit: float,
    angle: FloatArray,
    likelihood: FloatArray,
    square: FloatArray,
    middle: FloatArray,
    back: FloatArray,
    missing: FloatArray,
    scratch: FloatArray,
    covariance: FloatArray,
    rho: FloatArray,
    sigma: FloatArray,
    dof: FloatArray,
) -> None:
    """Weigh the nodes and write series `place`; `unit` is the mean square that its residuals were divided by."""
    nodes, parameters = middle.shape[0], middle.shape[1]
    left = dof[place]
    best, top = 0, -np.inf
    weight, precision = np.empty(nodes), np.empty(nodes)
    for j in range(nodes):
        square[j, k] = max(square[j, k], 1e-12)
        likelihood[j, k] -= 0.5 * left * np.log(square[j, k])
        if likelihood[j, k] > likelihood[best, k]:
            best = j
        # Nodes are even in the angle, d rho = sqrt((1 - rho) (1 + rho)) d angle: the prior leaves sqrt(1 - rho).
        weight[j] = likelihood[j, k] + 0.5 * np.log(1.0 - np.sin(angle[j]))
        top = max(top, weight[j])
        variance = 0.0
        for a in range(parameters):
            variance += middle[j, a, a, k]
        precision[j] = left / (square[j, k] * variance) if variance > 0.0 else 1.0
    total, one, two, noise = 0.0, 0.0, 0.0, 0.0
    for j in range(nodes):
        weight[j] = np.exp(weight[j] - top)
        total += weight[j]
        one += weight[j] * precision[j]
        two += weight[j] * precision[j] * precision[j]
    one /= total
    two *= (1.0 + 2.0 / left) / total
    mean = scratch[1]
    mean[:] = 0.0
    for j in range(nodes):
        share = weight[j] * precision[j] / (one * total) * square[j, k] / left * unit
        noise += share
        for a in range(parameters):
            for b in range(a + 1):
                mean[a, b] += share * middle[j, a, b, k]
    for a in range(parameters):
        mean[a, a] += noise * max(missing[a, k], 0.0)
        for b in range(a):
            mean[b, a] = mean[a, b]
    for a in range(parameters):
        for b in range(parameters):
            value = 0.0
            for c in range(a, parameters):
                for d in range(b, parameters):
                    value += back[c, a, k] * mean[c, d] * back[d, b, k]
            covariance[a, b, place] = value
    sigma[place] = np.sqrt(noise)
    dof[place] = 2.0 / (two / (one * one) - 1.0)
    shift = 0.0
    if 0 < best < nodes - 1:
        low, high = likelihood[best - 1, k], likelihood[best + 1, k]
        bend = low - 2.0 * likelihood[best, k] + high
        shift = 0.5 * (low - high) / bend if np.isfinite(bend) and bend < 0.0 else 0.0
    rho[place] = np.sin(angle[best] + shift * (angle[1] - angle[0])) if unit > 0.0 else np.nan
