"""Amplitudes of many curves by least squares, and what a step of their shapes needs.

With the amplitudes projected out (variable projection) only the shapes are sought; the derivative of the projection
is simplified as by Kaufman (1975, https://doi.org/10.1007/BF01932995). Every curve has its own data, so that profiles
and bootstraps are one call.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["project"]

#: A column of which the ones before leave less than this share is not told apart from them.
_ALIKE = 1e-10


@jit
def project(
    columns: FloatArray,
    gradient: FloatArray,
    data: FloatArray,
    weight: FloatArray,
    amplitudes: FloatArray,
    sought: BoolArray,
    rows: IntArray,
    owner: IntArray,
    misfit: FloatArray,
    slope: FloatArray,
    curvature: FloatArray,
) -> None:
    """
    Fit amplitudes and offset; project the derivatives `rows` of the gradient on what they leave.

    Parameters
    ----------
    columns, gradient
        (linear, times, curves) and (nonlinear, times, curves).
    data, weight
        (curves, times) and (times,), one over the standard deviation.
    amplitudes
        (curves, linear + 1), the offset last: those not `sought` are given, the others filled in.
    sought
        (linear + 1,).
    rows, owner
        Rows of the gradient, and number of the amplitude that multiplies each.
    misfit, slope, curvature
        Filled in: sum of squares (curves,), its negative half gradient (curves, rows) and half of its second
        derivative (curves, rows, rows), as Gauss and Newton have it.
    """
    size, count = weight.size, data.shape[0]
    last = amplitudes.shape[1] - 1
    design, left = np.zeros((last + 1, size)), np.empty(size)
    turn = np.empty((rows.size, size))
    # Of the orthogonal columns: their products with the original ones, their lengths, their shares of the data.
    mixed, length, share = np.zeros((last + 1, last + 1)), np.zeros(last + 1), np.zeros(last + 1)
    for k in range(count):
        for i in range(size):
            left[i] = data[k, i] * weight[i]
        for a in range(last + 1):
            given = 0.0 if sought[a] else amplitudes[k, a]
            for i in range(size):
                design[a, i] = weight[i] * (columns[a, i, k] if a < last else 1.0)
                left[i] -= given * design[a, i]
            if not sought[a]:
                continue
            before = _dot(design[a], design[a])
            for b in range(a):
                if sought[b] and length[b] > 0.0:
                    mixed[b, a] = _dot(design[b], design[a]) / length[b]
                    _subtract(design[a], mixed[b, a], design[b])
            length[a] = _dot(design[a], design[a])
            if length[a] <= _ALIKE * _ALIKE * before:
                length[a] = 0.0
        for a in range(last + 1):
            share[a] = 0.0
            if sought[a] and length[a] > 0.0:
                share[a] = _dot(design[a], left) / length[a]
                _subtract(left, share[a], design[a])
        for back in range(last + 1):
            a = last - back
            if sought[a]:
                value = share[a]
                for b in range(a + 1, last + 1):
                    if sought[b] and length[a] > 0.0:
                        value -= mixed[a, b] * amplitudes[k, b]
                amplitudes[k, a] = value
        misfit[k] = _dot(left, left)
        for j in range(rows.size):
            amplitude = amplitudes[k, owner[j]]
            for i in range(size):
                turn[j, i] = amplitude * weight[i] * gradient[rows[j], i, k]
            for a in range(last + 1):
                if sought[a] and length[a] > 0.0:
                    _subtract(turn[j], _dot(design[a], turn[j]) / length[a], design[a])
            slope[k, j] = _dot(turn[j], left)
            for b in range(j + 1):
                curvature[k, j, b] = curvature[k, b, j] = _dot(turn[j], turn[b])


@jit
def _dot(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@jit
def _subtract(a: FloatArray, factor: float, b: FloatArray) -> None:
    for i in range(a.size):
        a[i] -= factor * b[i]
