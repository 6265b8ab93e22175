"""Small dense positive definite systems: a handful of unknowns at one place."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import FloatArray

__all__ = ["cholesky", "invert", "solve"]


@jit
def cholesky(matrix: FloatArray, pivot: float) -> bool:
    """Factor the lower triangle in place; False when a pivot is not larger than `pivot`."""
    p = matrix.shape[0]
    for a in range(p):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            if a == b:
                if not total > pivot:
                    return False
                matrix[a, a] = np.sqrt(total)
            else:
                matrix[a, b] = total / matrix[b, b]
    return True


@jit
def solve(factor: FloatArray, right: FloatArray) -> None:
    """Solve in place, with the factor of :func:`cholesky`."""
    p = factor.shape[0]
    for a in range(p):
        for b in range(a):
            right[a] -= factor[a, b] * right[b]
        right[a] /= factor[a, a]
    for a in range(p - 1, -1, -1):
        for b in range(a + 1, p):
            right[a] -= factor[b, a] * right[b]
        right[a] /= factor[a, a]


@jit
def invert(factor: FloatArray, inverse: FloatArray, column: FloatArray) -> None:
    """Fill ``inverse``; ``column`` is a working array."""
    p = factor.shape[0]
    for a in range(p):
        column[:] = 0.0
        column[a] = 1.0
        solve(factor, column)
        for b in range(p):
            inverse[b, a] = column[b]
