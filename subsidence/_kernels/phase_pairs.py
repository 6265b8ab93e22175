"""Phase model of arcs whose phases are those of pairs, once these are unwrapped: through the epochs.

An image's noise enters all its pairs alike. The wrapped residuals of a tile of arcs are inverted to their epochs
(a weighted graph Laplacian, as in :mod:`subsidence._kernels.network`), and what they add to the parameters is fitted to
the epochs, all alike, with a constant for each part that the valid pairs join.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, invert
from subsidence._kernels.connectivity import connect
from subsidence._kernels.laplacian import factor, normal_matrix, right_hand_side, solve
from subsidence._kernels.phase_refine import quality, residuals
from subsidence._kernels.phase_tile import LANES, load
from subsidence.typing import AnyArray

__all__ = ["fit_epochs"]

_OK = 0
_ZERO = np.float32(0.0)
_PIVOT = 1e-7
_TURN = 2 * np.pi
#: Times that pairs are unwrapped anew beside the epochs that all pairs make.
_ROUNDS = 4


@jit
def fit_epochs(
    start: int,
    stop: int,
    table: AnyArray,
    heights: AnyArray,
    first: AnyArray,
    second: AnyArray,
    weight: AnyArray,
    design: AnyArray,
    epoch_design: AnyArray,
    epoch_heights: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    sign: AnyArray,
    bandwidth: int,
    value: AnyArray,
    std: AnyArray,
    coherence: AnyArray,
    status: AnyArray,
) -> None:
    """Replace ``value``, ``std`` and ``coherence`` of arcs ``start..stop`` that were searched with success.

    `epoch_design` is ``(parameter, unknown + 1)``, the epochs in the order of elimination and the grounded one last;
    `epoch_heights` (point, unknown + 1) is that of the second parameter by point, or empty. `lower`, `upper` and
    `sign` are those of :mod:`subsidence._kernels.laplacian`; everything else as in
    :func:`subsidence._kernels.phase_search.search`.
    """
    parameters, rows = design.shape
    pairs, epochs = weight.size, epoch_design.shape[1]
    unknowns = epochs - 1
    observed = np.zeros(3 * rows * LANES, np.float32)
    phasor = np.zeros(2 * rows * LANES, np.float32)
    usable, residual = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    state, sums = np.zeros((2 * parameters + 2) * LANES, np.float32), np.empty(6 * LANES, np.float32)
    phi, each = np.empty((pairs, LANES)), np.empty((pairs, LANES))
    band, scaled = np.empty((unknowns, bandwidth + 1, LANES)), np.empty((bandwidth + 1, LANES))
    x = np.empty((unknowns, LANES))
    reached = np.empty((unknowns + 1, LANES), np.uint8)
    component, lost, parts = np.empty((unknowns, LANES)), np.empty((unknowns, LANES)), np.empty(LANES)
    values, columns, part = np.empty(epochs), np.empty((parameters, epochs)), np.empty(epochs, np.int64)
    matrix, dense, column = np.empty((parameters, parameters)), np.empty((parameters, parameters)), np.empty(parameters)
    count, mean, right = np.empty(epochs), np.empty((parameters + 1, epochs)), np.empty(parameters)

    for arc in range(start, stop, LANES):
        filled = min(LANES, stop - arc)
        load(
            table, heights, design[min(1, parameters - 1)], first, second, weight, arc, filled, observed, phasor, usable
        )
        state[:] = _ZERO
        for lane in range(filled):
            if status[arc + lane] == _OK:
                for q in range(parameters):
                    state[q * LANES + lane] = value[q, arc + lane]
        for i in range(pairs):
            row = observed[3 * i * LANES : (3 * i + 3) * LANES]
            residuals(row, design[:, i], state, residual)
            for lane in range(LANES):
                phi[i, lane] = residual[lane]
                each[i, lane] = row[LANES + lane]
        connect(each, lower, upper, reached, component, lost, parts)
        normal_matrix(each, lower, upper, band)
        factor(band, scaled, lost)
        for _ in range(_ROUNDS):
            right_hand_side(phi, each, lower, upper, sign, x)
            solve(band, x)
            if not _unwrap(phi, x, lower, upper, sign):
                break
        for lane in range(filled):
            place = arc + lane
            if status[place] != _OK:
                continue
            for e in range(unknowns):
                values[e] = x[e, lane]
                part[e] = np.int64(component[e, lane])
            values[unknowns], part[unknowns] = 0.0, 0
            for q in range(parameters):
                for e in range(epochs):
                    columns[q, e] = epoch_design[q, e]
            if epoch_heights.shape[0] > 0:
                a, b = first[place], second[place]
                for e in range(epochs):
                    columns[1, e] = epoch_heights[b, e] if a < 0 else 0.5 * (epoch_heights[a, e] + epoch_heights[b, e])
            variance = _regress(values, columns, part, int(parts[lane]) + 1, count, mean, matrix, dense, column, right)
            if variance < 0.0:
                continue  # what the pairs alone say stands
            for q in range(parameters):
                value[q, place] += np.float32(right[q])
                std[q, place] = np.float32(np.sqrt(variance * dense[q, q]))
                state[q * LANES + lane] = value[q, place]
        quality(observed, design, state, residual, sums)
        for lane in range(filled):
            if status[arc + lane] == _OK:
                total = _ZERO
                for i in range(pairs):
                    total += observed[(3 * i + 1) * LANES + lane]
                coherence[arc + lane] = max(sums[LANES + lane] / total, _ZERO)


@jit
def _unwrap(phi: AnyArray, x: AnyArray, lower: AnyArray, upper: AnyArray, sign: AnyArray) -> bool:
    """Add whole turns to the pairs that lie more than half a turn off their epochs; False where none does."""
    changed = False
    for k in range(phi.shape[0]):
        i, j, s = lower[k], upper[k], sign[k]
        for lane in range(LANES):
            between = x[j, lane] - x[i, lane] if i >= 0 else x[j, lane]
            turns = np.rint((phi[k, lane] - s * between) / _TURN)
            phi[k, lane] -= _TURN * turns
            changed |= turns != 0.0
    return changed


@jit
def _regress(
    values: AnyArray,
    columns: AnyArray,
    part: AnyArray,
    parts: int,
    count: AnyArray,
    mean: AnyArray,
    matrix: AnyArray,
    dense: AnyArray,
    column: AnyArray,
    right: AnyArray,
) -> float:
    """Least squares of `values` with a constant for each part: ``right``, the inverse normal matrix ``dense``.

    Returns the variance of a value, -1 where the epochs do not suffice.
    """
    parameters, epochs = columns.shape
    count[:] = 0.0
    mean[:] = 0.0
    for e in range(epochs):
        count[part[e]] += 1.0
        mean[parameters, part[e]] += values[e]
        for q in range(parameters):
            mean[q, part[e]] += columns[q, e]
    freedom = epochs - parts - parameters
    if freedom < 1:
        return -1.0
    for p in range(parts):
        for q in range(parameters + 1):
            mean[q, p] /= max(count[p], 1.0)
    matrix[:] = 0.0
    right[:] = 0.0
    for e in range(epochs):
        for q in range(parameters):
            a = columns[q, e] - mean[q, part[e]]
            right[q] += a * (values[e] - mean[parameters, part[e]])
            for r in range(q + 1):
                matrix[q, r] += a * (columns[r, e] - mean[r, part[e]])
    least = np.inf
    for q in range(parameters):
        least = min(least, matrix[q, q])
    if not (least > _PIVOT * epochs and cholesky(matrix, _PIVOT * least)):
        return -1.0
    invert(matrix, dense, column)
    for q in range(parameters):
        column[q] = 0.0
        for r in range(parameters):
            column[q] += dense[q, r] * right[r]
    for q in range(parameters):
        right[q] = column[q]
    rss = 0.0
    for e in range(epochs):
        left = values[e] - mean[parameters, part[e]]
        for q in range(parameters):
            left -= right[q] * (columns[q, e] - mean[q, part[e]])
        rss += left * left
    return float(rss / freedom)
