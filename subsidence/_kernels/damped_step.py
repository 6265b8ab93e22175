"""The next trial of many fits: a damped Gauss-Newton step inside bounds, or the end of the iteration.

Damping is Marquardt's. A step that is too long in one parameter is cut there and solved again for the others.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.fit_state import CONVERGED, EXHAUSTED, RUNNING, Layout
from subsidence.typing import AnyArray, FloatArray

__all__ = ["propose"]

#: Damping at which no step is left.
_MOST_DAMPING = 1e12
#: Largest change of a parameter in one step: of a logarithm, or of a time in units of the record.
_STRIDE = 1.5

#: A pivot of the normal matrix below this share of its diagonal has nothing of its own.
_DEPENDENT = 1e-14
#: Change of every parameter at which nothing moves any more.
_STILL = 1e-10
#: Gain, as a share of the cost, over so many iterations that a fit may forgo: an onset that meets an epoch makes
#: a kink, along which no step is right.
_NEARLY = 1e-6
_PATIENCE = 10.0
#: Rounding errors of a cost, as a share of the sum of squares of the data.
_ROUNDING = 1e-15


@jit
def propose(
    bounds: FloatArray, state: FloatArray, at: Layout, shapes: int, tolerance: float, most: int, work: FloatArray
) -> int:
    """Next trial of every running lane, or the end of it."""
    lanes = state.shape[1]
    change, inverse = np.zeros((shapes, lanes)), np.empty((shapes, lanes))
    fixed, pinned = np.zeros((shapes, lanes), np.bool_), np.zeros((shapes, lanes))
    decrement = np.zeros(lanes)
    # A parameter at its bound that wants to go further stays.
    for k in range(shapes):
        for b in range(lanes):
            theta, slope = state[at.theta + k, b], state[at.slope + k, b]
            fixed[k, b] = (theta <= bounds[0, k] and slope <= 0.0) or (theta >= bounds[1, k] and slope >= 0.0)
    # Without damping first: what Newton's step would gain says whether a fit has converged.
    _factor(state, at, fixed, pinned, 0.0, work, change, inverse)
    for k in range(shapes):
        for b in range(lanes):
            decrement[b] += change[k, b] * change[k, b] * inverse[k, b]
    _factor(state, at, fixed, pinned, 1.0, work, change, inverse)
    _back(work, inverse, change)
    # A step that goes too far in one parameter goes as far as it may, and the others are solved for again: along
    # a valley they have to follow.
    cut = False
    for k in range(shapes):
        for b in range(lanes):
            theta = state[at.theta + k, b]
            least, most_change = max(bounds[0, k] - theta, -_STRIDE), min(bounds[1, k] - theta, _STRIDE)
            limited = min(max(change[k, b], least), most_change)
            beyond = limited != change[k, b]
            cut |= beyond
            pinned[k, b] = limited if beyond else 0.0
            fixed[k, b] |= beyond
    if cut:
        _factor(state, at, fixed, pinned, 1.0, work, change, inverse)
        _back(work, inverse, change)
    for k in range(shapes):
        for b in range(lanes):
            theta = state[at.theta + k, b]
            step = min(max(change[k, b] + pinned[k, b], -_STRIDE), _STRIDE)
            moved = min(max(theta + step, bounds[0, k]), bounds[1, k])
            state[at.trial + k, b] = moved
            change[k, b] = moved - theta
    return _decide(change, decrement, state, at, shapes, tolerance, most)


@jit
def _factor(
    state: FloatArray,
    at: Layout,
    fixed: AnyArray,
    pinned: FloatArray,
    damped: float,
    work: FloatArray,
    right: FloatArray,
    inverse: FloatArray,
) -> None:
    """
    Eliminate forward the normal matrix of the parameters that are not fixed.

    `work` keeps the rows, `right` the slope at the step `pinned` of those that are fixed, `inverse` the pivots,
    zero for dependent ones.
    """
    shapes, lanes = right.shape
    for k in range(shapes):
        for b in range(lanes):
            pivot = state[at.normal + k * shapes + k, b] * (1.0 + damped * state[at.damping, b])
            moves = pivot > 0.0 and not fixed[k, b]
            work[k, k, b] = pivot if moves else 1.0
            right[k, b] = state[at.slope + k, b] if moves else 0.0
            inverse[k, b] = work[k, k, b]
        for j in range(shapes):
            if j != k:
                row = at.normal + min(k, j) * shapes + max(k, j)
                for b in range(lanes):
                    moves = inverse[k, b] > 0.0 and not fixed[k, b]
                    right[k, b] -= state[row, b] * pinned[j, b] if moves else 0.0
        for j in range(k + 1, shapes):
            row = at.normal + k * shapes + j
            for b in range(lanes):
                work[k, j, b] = 0.0 if fixed[k, b] or fixed[j, b] else state[row, b]
    for k in range(shapes):
        for b in range(lanes):
            pivot = work[k, k, b]
            inverse[k, b] = 1.0 / pivot if pivot > _DEPENDENT * inverse[k, b] else 0.0
        for j in range(k + 1, shapes):
            for b in range(lanes):
                right[j, b] -= inverse[k, b] * work[k, j, b] * right[k, b]
            for i in range(j, shapes):
                for b in range(lanes):
                    work[j, i, b] -= inverse[k, b] * work[k, j, b] * work[k, i, b]


@jit
def _back(work: FloatArray, inverse: FloatArray, right: FloatArray) -> None:
    """Solve backward in place."""
    shapes, lanes = right.shape
    for back in range(shapes):
        k = shapes - 1 - back
        for j in range(k + 1, shapes):
            for b in range(lanes):
                right[k, b] -= work[k, j, b] * right[j, b]
        for b in range(lanes):
            right[k, b] *= inverse[k, b]


@jit
def _decide(
    change: FloatArray,
    decrement: FloatArray,
    state: FloatArray,
    at: Layout,
    shapes: int,
    tolerance: float,
    most: int,
) -> int:
    """End the lanes that have nothing to gain, or have had their iterations."""
    lanes = state.shape[1]
    expected, size = np.zeros(lanes), np.zeros(lanes)
    for k in range(shapes):
        for b in range(lanes):
            expected[b] += change[k, b] * (2.0 * state[at.slope + k, b])
            size[b] = max(size[b], abs(change[k, b]))
        for j in range(k, shapes):
            twice = 1.0 if j == k else 2.0
            row = at.normal + k * shapes + j
            for b in range(lanes):
                expected[b] -= twice * change[k, b] * change[j, b] * state[row, b]
    running = 0
    for b in range(lanes):
        if state[at.flag, b] != RUNNING:
            continue
        taken = state[at.predicted, b] > 0.0
        state[at.predicted, b] = expected[b]
        state[at.iterations, b] += 1.0
        little = tolerance * state[at.cost, b] + _ROUNDING * state[at.total, b]
        stalled = False
        if state[at.iterations, b] % _PATIENCE == 0.0:
            stalled = state[at.mark, b] - state[at.cost, b] <= _NEARLY * state[at.cost, b]
            state[at.mark, b] = state[at.cost, b]
        if (taken and decrement[b] <= little) or size[b] <= _STILL or stalled:
            state[at.flag, b] = CONVERGED
        elif state[at.damping, b] >= _MOST_DAMPING:
            state[at.flag, b] = CONVERGED if decrement[b] <= _NEARLY * state[at.cost, b] else EXHAUSTED
        elif state[at.iterations, b] >= most:
            state[at.flag, b] = EXHAUSTED
        else:
            running += 1
    return running
