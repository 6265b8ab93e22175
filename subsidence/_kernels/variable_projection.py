"""Levenberg-Marquardt with the amplitudes projected out, for many curves side by side.

The caller evaluates the curves and calls :func:`step`, which does the rest of one iteration for all of them:
reverse communication, because a compiled function cannot be given the kernel of a family. Curves ("lanes")
stand last in every array and the inner loops run over them, in SIMD.

Rows of ``x`` (rows, epochs, lanes), all times the square root of the weight: ones, columns, derivatives of the
columns by the free non-linear parameters, data. Amplitudes follow from the others by least squares at every
step (variable projection; Golub and Pereyra 1973, https://doi.org/10.1137/0710036) and the derivative of the
projection is simplified as by Kaufman (1975, https://doi.org/10.1007/BF01932995): with Schur's complement of
the amplitudes that is Gauss-Newton in all parameters at once. Damping is Marquardt's, its factor Nielsen's
(1999, IMM-REP-1999-05).

``state`` (rows, lanes) holds what an iteration leaves to the next; see :class:`Layout`.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.damped_step import propose
from subsidence._kernels.fit_state import RUNNING, Layout, parameters
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["step", "weigh"]

#: A row that those before it leave less than this share of (of its square) cannot be told apart from them.
_PIVOT = 1e-12
#: Least damping.
_LEAST_DAMPING = 1e-12


@jit
def step(
    x: FloatArray,
    rows: IntArray,
    owner: IntArray,
    held: AnyArray,
    amplitude_bounds: FloatArray,
    logarithmic: AnyArray,
    bounds: FloatArray,
    p: FloatArray,
    p_rows: IntArray,
    state: FloatArray,
    at: Layout,
    tolerance: float,
    most: int,
    work: FloatArray,
) -> int:
    """
    One iteration of every lane; returns how many are still running.

    Parameters
    ----------
    x
        Rows at the trial parameters, (rows, epochs, lanes).
    rows
        Rows of `x` in the order of elimination: amplitudes, free non-linear parameters, data.
    owner
        Number of the amplitude that multiplies each free non-linear parameter's derivative.
    held
        Amplitudes that stay at ``amplitude_bounds[0]``.
    amplitude_bounds, bounds
        (2, amplitudes) and (2, free non-linear parameters).
    logarithmic
        Free non-linear parameters whose logarithm varies.
    p, p_rows
        Parameters of the curves, (non-linear, lanes), and the rows of the free ones; filled for the next trial.
    state, at
        See :class:`Layout`.
    tolerance
        Predicted decrease, as a share of the cost, at which a fit has converged.
    most
        Iterations allowed.
    work
        Scratch, (2, rows, rows, lanes).
    """
    amplitudes, shapes, lanes = held.size, owner.size, x.shape[2]
    last = amplitudes + shapes
    gram, solved = work[0], work[1]
    _products(x, rows, gram)
    own = np.empty((shapes, lanes))
    for b in range(lanes):
        state[at.total, b] = gram[last, last, b]
    for k in range(shapes):
        for b in range(lanes):
            own[k, b] = gram[amplitudes + k, amplitudes + k, b]
    bounded = False
    for i in range(amplitudes):
        bounded |= held[i] or amplitude_bounds[0, i] > -np.inf or amplitude_bounds[1, i] < np.inf
    coefficient = np.zeros((amplitudes, lanes))
    clamped = np.zeros((amplitudes, lanes), np.bool_)
    for i in range(amplitudes):
        clamped[i, :] = held[i]
        if held[i]:
            coefficient[i, :] = amplitude_bounds[0, i]
    if not bounded:
        solved, gram = gram, solved
        _eliminate(solved, clamped, coefficient, amplitudes, last, bounded)
    else:
        for _ in range(amplitudes + 1):
            solved[:] = gram
            _eliminate(solved, clamped, coefficient, amplitudes, last, bounded)
            if not _clamp(coefficient, amplitude_bounds, clamped):
                break
    # A derivative of which the amplitudes leave nothing but rounding errors says nothing.
    for k in range(shapes):
        row = amplitudes + k
        for b in range(lanes):
            if solved[row, row, b] <= _PIVOT * own[k, b]:
                solved[row, row, b] = 0.0
    # The scratch that is left holds what the chain rule multiplies each derivative by.
    chain = gram[0] if bounded else work[1, 0]
    for k in range(shapes):
        for b in range(lanes):
            chain[k, b] = coefficient[owner[k], b] * (p[p_rows[k], b] if logarithmic[k] else 1.0)
    _judge(solved, chain, coefficient, state, at, amplitudes, shapes)
    running = propose(bounds, state, at, shapes, tolerance, most, solved)
    parameters(state[at.trial : at.trial + shapes], p_rows, logarithmic, p)
    return running


@jit
def _products(x: FloatArray, rows: IntArray, gram: FloatArray) -> None:
    """Products of all rows, summed over epochs, in the upper triangle of `gram` (rows, rows, lanes)."""
    n, lanes = x.shape[1], x.shape[2]
    size = rows.size
    for i in range(size):
        for j in range(i, size):
            for b in range(lanes):
                gram[i, j, b] = 0.0
    # Four epochs at a time: rows and sums stay in the first cache, and a sum is loaded once for four.
    whole = n - n % 4
    for t in range(0, whole, 4):
        for i in range(size):
            left = x[rows[i]]
            for j in range(i, size):
                right = x[rows[j]]
                for b in range(lanes):
                    gram[i, j, b] += (
                        left[t, b] * right[t, b]
                        + left[t + 1, b] * right[t + 1, b]
                        + left[t + 2, b] * right[t + 2, b]
                        + left[t + 3, b] * right[t + 3, b]
                    )
    for t in range(whole, n):
        for i in range(size):
            for j in range(i, size):
                for b in range(lanes):
                    gram[i, j, b] += x[rows[i], t, b] * x[rows[j], t, b]


@jit
def _eliminate(
    a: FloatArray, clamped: AnyArray, coefficient: FloatArray, amplitudes: int, last: int, bounded: bool
) -> None:
    """
    Project amplitudes out of the products `a` and solve for those that are not clamped.

    What remains from row ``amplitudes`` on are the products of what the amplitudes' rows leave of the others.
    """
    lanes = a.shape[2]
    inverse = np.empty((amplitudes, lanes))
    if bounded:
        for i in range(amplitudes):
            for b in range(lanes):
                value = coefficient[i, b] if clamped[i, b] else 0.0
                a[last, last, b] += value * (value * a[i, i, b] - 2.0 * a[i, last, b])
                for j in range(last):
                    a[j, last, b] -= value * (a[j, i, b] if j < i else a[i, j, b])
    for i in range(amplitudes):
        for b in range(lanes):
            inverse[i, b] = a[i, i, b]
    for i in range(amplitudes):
        for b in range(lanes):
            pivot = a[i, i, b]
            known = not clamped[i, b] and pivot > _PIVOT * inverse[i, b]
            inverse[i, b] = 1.0 / pivot if known else 0.0
        for j in range(i + 1, last + 1):
            for k in range(j, last + 1):
                for b in range(lanes):
                    a[j, k, b] -= inverse[i, b] * a[i, j, b] * a[i, k, b]
    for back in range(amplitudes):
        i = amplitudes - 1 - back
        for b in range(lanes):
            if not clamped[i, b]:
                value = a[i, last, b]
                for j in range(i + 1, amplitudes):
                    if not clamped[j, b]:
                        value -= a[i, j, b] * coefficient[j, b]
                coefficient[i, b] = value * inverse[i, b]


@jit
def _clamp(coefficient: FloatArray, limits: FloatArray, clamped: AnyArray) -> bool:
    """Put amplitudes that are beyond a bound on it, and say whether there were any."""
    any_beyond = False
    for i in range(coefficient.shape[0]):
        for b in range(coefficient.shape[1]):
            if clamped[i, b]:
                continue
            value = min(max(coefficient[i, b], limits[0, i]), limits[1, i])
            if value != coefficient[i, b]:
                coefficient[i, b] = value
                clamped[i, b] = True
                any_beyond = True
    return any_beyond


@jit
def _judge(
    solved: FloatArray,
    chain: FloatArray,
    coefficient: FloatArray,
    state: FloatArray,
    at: Layout,
    amplitudes: int,
    shapes: int,
) -> None:
    """Keep the trial of each lane that lowers its cost, and change its damping."""
    lanes = state.shape[1]
    last = amplitudes + shapes
    taken = np.empty(lanes)
    for b in range(lanes):
        cost = max(solved[last, last, b], 0.0)
        old = state[at.cost, b]
        better = state[at.flag, b] == RUNNING and cost <= old
        first = old == np.inf
        predicted = state[at.predicted, b]
        gain = (old - cost) / predicted if not first and predicted > 0.0 else 1.0
        shrink = max(1.0 / 3.0, 1.0 - (2.0 * min(gain, 2.0) - 1.0) ** 3)
        damping, growth = state[at.damping, b], state[at.growth, b]
        if not first and state[at.flag, b] == RUNNING:
            state[at.damping, b] = max(damping * (shrink if better else growth), _LEAST_DAMPING)
            state[at.growth, b] = 2.0 if better else 2.0 * growth
        if better:
            state[at.cost, b] = cost
        taken[b] = 1.0 if better else 0.0
        # From here on it says whether the trial was taken.
        state[at.predicted, b] = taken[b]
    for k in range(shapes):
        for b in range(lanes):
            taking = taken[b] > 0.0
            state[at.theta + k, b] = state[at.trial + k, b] if taking else state[at.theta + k, b]
            slope = chain[k, b] * solved[amplitudes + k, last, b]
            state[at.slope + k, b] = slope if taking else state[at.slope + k, b]
        for j in range(k, shapes):
            row = at.normal + k * shapes + j
            for b in range(lanes):
                product = chain[k, b] * chain[j, b] * solved[amplitudes + k, amplitudes + j, b]
                state[row, b] = product if taken[b] > 0.0 else state[row, b]
    for i in range(amplitudes):
        for b in range(lanes):
            kept = state[at.amplitude + i, b]
            state[at.amplitude + i, b] = coefficient[i, b] if taken[b] > 0.0 else kept


@jit
def weigh(x: FloatArray, first: int, stop: int) -> None:
    """Multiply the rows from `first` on by row 0, the square root of the weights."""
    for row in range(first, stop):
        for i in range(x.shape[1]):
            for b in range(x.shape[2]):
                x[row, i, b] *= x[0, i, b]
