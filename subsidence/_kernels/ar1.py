"""Generalised least squares under first-order autoregressive noise of unknown correlation.

Noise at epochs g median revisits apart correlates by rho^g, so that its precision matrix is tridiagonal and
whitening costs a subtraction and a product an epoch: z_i = (e_i - a_i e_{i-1}) / sqrt(1 - a_i^2), with
a_i = rho^g. A negative rho (which keeps rho = 0 an inner point of the search) alternates with the whole
number of revisits in the gap.

The restricted likelihood is laid over nodes of rho that are evenly spaced in arcsin(rho), where its width is
close to 1 / sqrt(epochs) whatever rho; with a prior of rho, (1 + rho)^(-1/2), it weighs the solutions of all
nodes. The prior was chosen by simulation: a flat one covers up to a percentage point more than 68 %. At one
node the velocity is a Student t, a normal whose precision is a gamma variate; over the nodes it is a mixture
of them, and ``velocity_std`` and ``velocity_dof`` are those of the t whose precision has the mixture's first
two moments.

Layouts as in ``trend``; the last row of ``out`` is rho where the restricted likelihood is largest.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.trend import least_squares, tile_values, write_place
from subsidence.typing import AnyArray, FloatArray

__all__ = ["fit_ar1", "nodes"]

_TILE = 32
#: Spacing of nodes in widths of the likelihood: half of it changes the velocity by less than 1e-3 of its std.
_SPACING = 1.2
_FEWEST_NODES = 15
#: 1 - a^2 never falls below this: epochs seconds apart would make whitening infinite.
_FLOOR = 1e-12


def nodes(
    gaps: FloatArray, basis: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """
    What all places without missing epochs share.

    Parameters
    ----------
    gaps
        Time between epochs in median revisits, of shape (epochs - 1,).
    basis
        Orthonormal basis of the model, of shape (epochs, parameters).

    Returns
    -------
    angle, lag, scale, white, inverse, base
        arcsin(rho) (nodes,); a (nodes, epochs - 1); 1 / sqrt(1 - a^2) (nodes, epochs - 1); orthonormal basis
        of the whitened basis (nodes, epochs, parameters); the inverse of its triangle (nodes, parameters,
        parameters); log-likelihood without the residuals' part (nodes,).
    """
    n, p = basis.shape
    count = max(_FEWEST_NODES, int(np.ceil(np.pi * np.sqrt(n) / _SPACING)))
    angle = ((np.arange(count) + 0.5) / count - 0.5) * np.pi
    rho = np.sin(angle)
    odd = np.rint(gaps) % 2 == 1
    size = np.abs(rho)[:, None] ** gaps
    lag = np.where(odd & (rho < 0)[:, None], -size, size)
    scale = 1.0 / np.sqrt(np.maximum(1.0 - lag**2, _FLOOR))
    whitened = np.empty((count, n, p))
    whitened[:, 0] = basis[0]
    whitened[:, 1:] = (basis[1:] - lag[..., None] * basis[:-1]) * scale[..., None]
    white, triangle = np.linalg.qr(whitened)
    inverse = np.linalg.inv(triangle)
    determinant = np.log(np.abs(np.diagonal(triangle, axis1=1, axis2=2))).sum(axis=1)
    base = np.log(scale).sum(axis=1) - determinant
    return angle, lag, scale, np.ascontiguousarray(white), np.ascontiguousarray(inverse), base


@jit
def fit_ar1(
    start: int,
    stop: int,
    series: FloatArray,
    basis: FloatArray,
    back: FloatArray,
    angle: FloatArray,
    lag: FloatArray,
    scale: FloatArray,
    white: FloatArray,
    inverse: FloatArray,
    base: FloatArray,
    acceleration: bool,
    seasonal: bool,
    out: FloatArray,
) -> None:
    """Fit each place of ``series`` (epochs, places) by generalised least squares over its valid epochs."""
    n, p = basis.shape
    count = angle.size
    tile, even = np.zeros((_TILE, n)), np.zeros((n, _TILE))
    values, residual = np.empty(n), np.empty(n)
    index = np.empty(n, np.int64)
    factor, gamma = np.empty((p, p)), np.empty((_TILE, p))
    unit, sizes = np.empty(_TILE), np.empty(_TILE, np.int64)
    rss, dots = np.empty((count, _TILE)), np.empty((count, p, _TILE))
    own_rss, own_dots = np.empty(count), np.empty((count, p))
    own_inverse, own_base = np.empty((count, p, p)), np.empty(count)
    whitened, scratch = np.empty((n, p)), np.empty((4, p, p))
    for first in range(start, stop, _TILE):
        width = min(_TILE, stop - first)
        tile_values(series, first, width, tile)
        even[:] = 0.0
        complete = 0
        for k in range(width):
            m = 0
            for i in range(n):
                if np.isfinite(tile[k, i]):
                    values[m] = tile[k, i]
                    index[m] = i
                    m += 1
            sizes[k] = m
            if not least_squares(values, index, m, basis, factor, gamma[k], residual):
                sizes[k] = 0
                out[:, first + k] = np.nan
                continue
            total, largest = 0.0, 0.0
            for i in range(m):
                total += residual[i] * residual[i]
                largest = max(largest, np.abs(values[i]))
            unit[k] = np.sqrt(total / m)
            if not unit[k] > 1e-14 * largest:  # on the line to rounding: there is no noise to speak of
                sizes[k] = 0
                _write_exact(out, first + k, gamma[k], back, m - p, unit[k], acceleration, seasonal, scratch)
            elif m == n:
                complete += 1
                for i in range(n):
                    even[i, k] = residual[i] / unit[k]
            else:
                for i in range(m):
                    residual[i] /= unit[k]
                _own_nodes(residual, index, m, basis, lag, scale, whitened, own_rss, own_dots, own_inverse, own_base)
                _combine(
                    out, first + k, own_rss, own_dots, own_inverse, own_base, angle, basis, index, residual, m,
                    gamma[k], back, unit[k], acceleration, seasonal, scratch,
                )  # fmt: skip
        if complete == 0:
            continue
        _shared_nodes(even, lag, scale, white, rss, dots)
        for k in range(width):
            if sizes[k] != n:
                continue
            for i in range(n):
                index[i] = i
                residual[i] = even[i, k]
            for j in range(count):
                own_rss[j] = rss[j, k]
                for a in range(p):
                    own_dots[j, a] = dots[j, a, k]
            _combine(
                out, first + k, own_rss, own_dots, inverse, base, angle, basis, index, residual, n,
                gamma[k], back, unit[k], acceleration, seasonal, scratch,
            )  # fmt: skip


@jit
def _shared_nodes(
    even: FloatArray,
    lag: FloatArray,
    scale: FloatArray,
    white: FloatArray,
    rss: FloatArray,
    dots: FloatArray,
) -> None:
    """Whitened sums of squares and products of a whole tile: the inner loops run over places, in SIMD."""
    count, n, p = white.shape
    z, square = np.empty(_TILE), np.empty(_TILE)
    for j in range(count):
        for k in range(_TILE):
            square[k] = 0.0
        for a in range(p):
            for k in range(_TILE):
                dots[j, a, k] = 0.0
        for i in range(n):
            if i == 0:
                for k in range(_TILE):
                    z[k] = even[0, k]
            else:
                c, w = lag[j, i - 1], scale[j, i - 1]
                for k in range(_TILE):
                    z[k] = (even[i, k] - c * even[i - 1, k]) * w
            for k in range(_TILE):
                square[k] += z[k] * z[k]
            for a in range(p):
                u = white[j, i, a]
                for k in range(_TILE):
                    dots[j, a, k] += u * z[k]
        for a in range(p):
            for k in range(_TILE):
                square[k] -= dots[j, a, k] * dots[j, a, k]
        for k in range(_TILE):
            rss[j, k] = square[k]


@jit
def _own_nodes(
    residual: FloatArray,
    index: AnyArray,
    m: int,
    basis: FloatArray,
    lag: FloatArray,
    scale: FloatArray,
    whitened: FloatArray,
    rss: FloatArray,
    dots: FloatArray,
    inverse: FloatArray,
    base: FloatArray,
) -> None:
    """The same at one place with missing epochs: a gap's correlation is the product over the epochs it skips."""
    p = basis.shape[1]
    triangle = np.empty((p, p))
    for j in range(rss.size):
        base[j], product = 0.0, 1.0
        square = residual[0] * residual[0]
        for a in range(p):
            whitened[0, a] = basis[index[0], a]
            dots[j, a] = whitened[0, a] * residual[0]
        for i in range(1, m):
            before, now = index[i - 1], index[i]
            c, w = lag[j, before], scale[j, before]
            if now > before + 1:
                for skipped in range(before + 1, now):
                    c *= lag[j, skipped]
                w = 1.0 / np.sqrt(max(1.0 - c * c, _FLOOR))
            product *= w  # at most 1e6 each: one logarithm for sixteen
            if i % 16 == 0:
                base[j] += np.log(product)
                product = 1.0
            z = (residual[i] - c * residual[i - 1]) * w
            square += z * z
            for a in range(p):
                whitened[i, a] = (basis[now, a] - c * basis[before, a]) * w
                dots[j, a] += whitened[i, a] * z
        base[j] += np.log(product)
        for a in range(p):  # modified Gram-Schmidt; the products with z follow the columns
            for b in range(a):
                along = 0.0
                for i in range(m):
                    along += whitened[i, b] * whitened[i, a]
                triangle[b, a] = along
                for i in range(m):
                    whitened[i, a] -= along * whitened[i, b]
                dots[j, a] -= along * dots[j, b]
            norm = 0.0
            for i in range(m):
                norm += whitened[i, a] * whitened[i, a]
            norm = np.sqrt(norm)
            triangle[a, a] = norm
            for i in range(m):
                whitened[i, a] /= norm
            dots[j, a] /= norm
            base[j] -= np.log(norm)
        for a in range(p):
            square -= dots[j, a] * dots[j, a]
            for b in range(p):
                inverse[j, b, a] = 0.0
            inverse[j, a, a] = 1.0 / triangle[a, a]
            for b in range(a - 1, -1, -1):
                total = 0.0
                for c_ in range(b + 1, a + 1):
                    total += triangle[b, c_] * inverse[j, c_, a]
                inverse[j, b, a] = -total / triangle[b, b]
        rss[j] = square


@jit
def _combine(
    out: FloatArray,
    place: int,
    rss: FloatArray,
    dots: FloatArray,
    inverse: FloatArray,
    base: FloatArray,
    angle: FloatArray,
    basis: FloatArray,
    index: AnyArray,
    residual: FloatArray,
    m: int,
    gamma: FloatArray,
    back: FloatArray,
    unit: float,
    acceleration: bool,
    seasonal: bool,
    scratch: FloatArray,
) -> None:
    """Weigh the nodes and write the place; `residual` is of ordinary least squares, in its own RMS `unit`."""
    count, p = dots.shape
    dof = m - p
    likelihood, weight, precision = np.empty(count), np.empty(count), np.empty(count)
    mean, cov, change = np.zeros(p), np.zeros((p, p)), np.empty((count, p))
    best, top = 0, -np.inf
    for j in range(count):
        rss[j] = max(rss[j], 1e-12 * m)
        likelihood[j] = base[j] - 0.5 * dof * np.log(rss[j])
        if likelihood[j] > likelihood[best]:
            best = j
        # Nodes are even in the angle, d rho = sqrt((1 - rho) (1 + rho)) d angle: the prior leaves sqrt(1 - rho).
        weight[j] = likelihood[j] + 0.5 * np.log(1.0 - np.sin(angle[j]))
        top = max(top, weight[j])
        variance = 0.0
        for a in range(p):
            change[j, a] = 0.0
            part = 0.0
            for b in range(p):
                change[j, a] += inverse[j, a, b] * dots[j, b]
                part += back[1, b] * inverse[j, b, a]
            variance += part * part
        precision[j] = dof / (rss[j] * variance)
    total, first, second = 0.0, 0.0, 0.0
    for j in range(count):
        weight[j] = np.exp(weight[j] - top)
        total += weight[j]
        first += weight[j] * precision[j]
        second += weight[j] * precision[j] * precision[j]
    first /= total
    second *= (1.0 + 2.0 / dof) / total
    for j in range(count):
        weight[j] *= precision[j] / (first * total)
        for a in range(p):
            mean[a] += weight[j] * change[j, a]
    for j in range(count):
        variance = weight[j] * rss[j] / dof
        for a in range(p):
            for b in range(p):
                within = 0.0
                for c in range(p):
                    within += inverse[j, a, c] * inverse[j, b, c]
                between = (change[j, a] - mean[a]) * (change[j, b] - mean[b])
                cov[a, b] += variance * within + weight[j] * between
    square = 0.0
    for i in range(m):
        model = 0.0
        for a in range(p):
            model += basis[index[i], a] * mean[a]
        square += (residual[i] - model) ** 2
    for a in range(p):
        mean[a] = gamma[a] + unit * mean[a]
        for b in range(p):
            cov[a, b] *= unit * unit
    freedom = 2.0 / (second / (first * first) - 1.0)
    write_place(out, place, mean, cov, back, freedom, unit * np.sqrt(square / m), acceleration, seasonal, scratch)
    shift = 0.0
    if 0 < best < count - 1:
        left, right = likelihood[best - 1], likelihood[best + 1]
        shift = 0.5 * (left - right) / (left - 2.0 * likelihood[best] + right)
    out[-1, place] = np.sin(angle[best] + shift * (angle[1] - angle[0]))


@jit
def _write_exact(
    out: FloatArray,
    place: int,
    gamma: FloatArray,
    back: FloatArray,
    dof: float,
    rms: float,
    acceleration: bool,
    seasonal: bool,
    scratch: FloatArray,
) -> None:
    scratch[3] = 0.0
    write_place(out, place, gamma, scratch[3], back, dof, rms, acceleration, seasonal, scratch)
    out[-1, place] = np.nan
