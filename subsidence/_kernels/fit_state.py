"""What one iteration of many fits leaves to the next, side by side in lanes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["CONVERGED", "EXHAUSTED", "RUNNING", "Layout", "begin", "gather", "layout", "parameters", "scatter"]

RUNNING, CONVERGED, EXHAUSTED = 0.0, 1.0, 2.0

#: Damping at the beginning.
_DAMPING = 1e-3


class Layout(NamedTuple):
    """Rows of ``state``: scalars, then blocks of free non-linear parameters and of amplitudes."""

    cost: int
    damping: int
    growth: int
    predicted: int
    iterations: int
    flag: int
    total: int
    mark: int
    theta: int
    trial: int
    slope: int
    normal: int
    amplitude: int
    rows: int


def layout(shapes: int, amplitudes: int) -> Layout:
    """Rows of the state of fits with so many free non-linear parameters and so many amplitudes."""
    theta = 8
    normal = theta + 3 * shapes
    amplitude = normal + shapes * shapes
    return Layout(
        0, 1, 2, 3, 4, 5, 6, 7, theta, theta + shapes, theta + 2 * shapes, normal, amplitude, amplitude + amplitudes
    )


@jit
def begin(state: FloatArray, start: FloatArray, at: Layout) -> None:
    """Set `state` to begin at the parameters `start` (shapes, lanes)."""
    shapes, lanes = start.shape
    for b in range(lanes):
        state[at.cost, b] = np.inf
        state[at.damping, b] = _DAMPING
        state[at.growth, b] = 2.0
        state[at.predicted, b] = 0.0
        state[at.iterations, b] = 0.0
        state[at.flag, b] = RUNNING
        state[at.mark, b] = np.inf
    for k in range(shapes):
        for b in range(lanes):
            state[at.trial + k, b] = start[k, b]
            state[at.theta + k, b] = start[k, b]


@jit
def gather(source: FloatArray, index: IntArray, target: FloatArray) -> None:
    """Copy columns `index` of `source`."""
    for i in range(target.shape[0]):
        for b in range(index.size):
            target[i, b] = source[i, index[b]]


@jit
def scatter(source: FloatArray, index: IntArray, target: FloatArray) -> None:
    """Copy columns to `index` of `target`."""
    for i in range(source.shape[0]):
        for b in range(index.size):
            target[i, index[b]] = source[i, b]


@jit
def parameters(theta: FloatArray, rows: IntArray, logarithmic: AnyArray, p: FloatArray) -> None:
    """Write the free parameters into their rows of `p`."""
    for k in range(rows.size):
        for b in range(theta.shape[1]):
            p[rows[k], b] = np.exp(theta[k, b]) if logarithmic[k] else theta[k, b]
