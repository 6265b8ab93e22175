"""Residuals and Jacobian of fitted curves, and how well they fit."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["combine", "finish", "reversal", "spread", "steepest", "weighted_mean"]


@jit
def finish(
    columns: FloatArray,
    gradient: FloatArray,
    amplitude: FloatArray,
    owner: IntArray,
    rows: IntArray,
    free: AnyArray,
    y: FloatArray,
    residual: FloatArray,
    jacobian: FloatArray,
) -> None:
    """
    Fill the residuals of curves and the derivatives of the curves by the parameters that were estimated.

    Parameters
    ----------
    columns, gradient
        Columns and their derivatives by the non-linear parameters, (rows, epochs, lanes).
    amplitude
        Offset, coefficients of the columns, (amplitudes, lanes).
    owner
        Amplitude that multiplies each non-linear parameter's derivatives.
    rows
        Parameters that were estimated anywhere: numbers of columns, of derivatives after them, of the offset.
    free
        Where they were, (estimated, lanes); other derivatives are zero.
    y
        Data, (epochs, lanes); anything where there are none.
    residual
        Out: data minus curve, (epochs, lanes).
    jacobian
        Out: (estimated, epochs, lanes).
    """
    count, n, lanes = columns.shape
    for i in range(n):
        for b in range(lanes):
            residual[i, b] = y[i, b] - amplitude[0, b]
        for row in range(count):
            for b in range(lanes):
                residual[i, b] -= amplitude[row + 1, b] * columns[row, i, b]
    for j in range(rows.size):
        row = rows[j]
        for i in range(n):
            if row < count:
                for b in range(lanes):
                    jacobian[j, i, b] = columns[row, i, b] if free[j, b] else 0.0
            elif row < count + owner.size:
                k = row - count
                for b in range(lanes):
                    value = amplitude[owner[k], b] * gradient[k, i, b]
                    jacobian[j, i, b] = value if free[j, b] else 0.0
            else:
                for b in range(lanes):
                    jacobian[j, i, b] = 1.0 if free[j, b] else 0.0


@jit
def spread(y: FloatArray, residual: FloatArray, weight: FloatArray, out: FloatArray) -> None:
    """Fill `out` (4, lanes): sums of squares of residuals, of weighted residuals, of data about their mean; epochs."""
    n, lanes = y.shape
    for b in range(lanes):
        out[0, b] = 0.0
        out[1, b] = 0.0
        out[2, b] = 0.0
        out[3, b] = 0.0
    mean = np.zeros(lanes)
    for i in range(n):
        for b in range(lanes):
            if weight[i, b] > 0.0:
                mean[b] += y[i, b]
                out[3, b] += 1.0
    for b in range(lanes):
        mean[b] /= max(out[3, b], 1.0)
    for i in range(n):
        for b in range(lanes):
            if weight[i, b] > 0.0:
                r, d = residual[i, b], y[i, b] - mean[b]
                out[0, b] += r * r
                out[1, b] += (weight[i, b] * r) ** 2
                out[2, b] += d * d


@jit
def combine(columns: FloatArray, amplitude: FloatArray, out: FloatArray) -> None:
    """Sum of `columns` (columns, times, lanes), each times its coefficient (columns, lanes)."""
    for i in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[i, b] = amplitude[0, b] * columns[0, i, b]
        for row in range(1, columns.shape[0]):
            for b in range(out.shape[1]):
                out[i, b] += amplitude[row, b] * columns[row, i, b]


@jit
def reversal(y: FloatArray, weight: FloatArray, sign: FloatArray, window: int, out: FloatArray) -> None:
    """
    How far each series goes against a sign.

    Fill `out` (3, lanes): the largest fall of a running mean of `window` epochs, counted along `sign`; its range;
    the standard deviation of that mean, from second differences of neighbouring epochs, which a curve hardly has.
    """
    n, lanes = y.shape
    total, count, top, low = np.zeros(lanes), np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    square, triples = np.zeros(lanes), np.zeros(lanes)
    for b in range(lanes):
        top[b], low[b], out[0, b] = -np.inf, np.inf, 0.0
    for i in range(n):
        for b in range(lanes):
            here = 1.0 if weight[i, b] > 0.0 else 0.0
            total[b] += here * y[i, b]
            count[b] += here
        if i >= window:
            for b in range(lanes):
                gone = 1.0 if weight[i - window, b] > 0.0 else 0.0
                total[b] -= gone * y[i - window, b]
                count[b] -= gone
        if i >= window - 1:
            for b in range(lanes):
                # A mean of fewer epochs is too rough.
                enough = count[b] > 0.6 * window
                mean = sign[b] * total[b] / max(count[b], 1.0)
                top[b] = max(top[b], mean) if enough else top[b]
                low[b] = min(low[b], mean) if enough else low[b]
                out[0, b] = max(out[0, b], top[b] - mean) if enough else out[0, b]
        if i >= 2:
            for b in range(lanes):
                near = weight[i, b] > 0.0 and weight[i - 1, b] > 0.0 and weight[i - 2, b] > 0.0
                bend = y[i, b] - 2.0 * y[i - 1, b] + y[i - 2, b]
                square[b] += bend * bend if near else 0.0
                triples[b] += 1.0 if near else 0.0
    for b in range(lanes):
        out[1, b] = max(top[b] - low[b], 0.0)
        # The variance of y - 2 y + y is six times that of an epoch.
        out[2, b] = np.sqrt(square[b] / (6.0 * max(triples[b], 1.0) * window)) if triples[b] > 0.0 else np.inf


@jit
def steepest(columns: FloatArray, amplitude: FloatArray, t: FloatArray, out: FloatArray) -> None:
    """
    Fill `out` (4, lanes) with where curves are fastest, seen at the epochs `t`.

    The number of the interval of the largest |mean velocity|, and the velocity there, in the interval before it
    and in the one after it; zero beyond the record.
    """
    count, n, lanes = columns.shape
    before, here = np.zeros(lanes), np.zeros(lanes)
    out[:] = 0.0
    for i in range(n - 1):
        scale = 1.0 / (t[i + 1] - t[i])
        for b in range(lanes):
            before[b] = here[b]
            here[b] = 0.0
        for row in range(count):
            for b in range(lanes):
                here[b] += amplitude[row, b] * (columns[row, i + 1, b] - columns[row, i, b])
        for b in range(lanes):
            here[b] *= scale
        for b in range(lanes):
            out[3, b] = here[b] if out[0, b] == i - 1 else out[3, b]
        for b in range(lanes):
            above = abs(here[b]) > abs(out[1, b])
            out[0, b] = i if above else out[0, b]
            out[2, b] = before[b] if above else out[2, b]
            out[3, b] = 0.0 if above else out[3, b]
            out[1, b] = here[b] if above else out[1, b]


@jit
def weighted_mean(y: FloatArray, weight: FloatArray, out: FloatArray) -> None:
    """Mean of each lane with the squares of the weights; summed epoch by epoch, however many lanes there are."""
    total = np.zeros(out.size)
    out[:] = 0.0
    for i in range(y.shape[0]):
        for b in range(out.size):
            square = weight[i, b] * weight[i, b]
            out[b] += square * y[i, b]
            total[b] += square
    for b in range(out.size):
        out[b] /= total[b]
