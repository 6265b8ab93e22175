"""Drives the variable projection kernel: evaluates curves in batches that fit the cache, until all have converged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence._kernels.fit_state import RUNNING, begin, gather, layout, parameters, scatter
from subsidence._kernels.variable_projection import step, weigh
from subsidence.fitting._problem import Problem
from subsidence.typing import FloatArray, IntArray

__all__ = ["Solution", "lanes", "solve"]

#: Predicted decrease of the cost, as a share of it, at which a fit has converged: 1e-4 standard deviations.
TOLERANCE = 1e-10
#: Iterations after which a fit is given up.
ITERATIONS = 100
#: Bytes of a batch's curves: about a second-level cache, and so much work a step that threads seldom wait for Python.
_BATCH_BYTES = 1_200_000
#: Share of running lanes at which a batch is filled up again.
_REFILL = 0.6


@dataclass(frozen=True)
class Solution:
    """Where the fits ended, inside the solver's unit of time."""

    #: free non-linear parameters (free, series), amplitudes with the offset first (amplitudes, series)
    theta: FloatArray
    amplitude: FloatArray
    cost: FloatArray
    flag: FloatArray


def lanes(problem: Problem) -> int:
    """Series that are fitted side by side."""
    rows = 2 + len(problem.model.linear) + len(problem.model.nonlinear)
    return int(np.clip(_BATCH_BYTES // (8 * rows * problem.t.size) // 32 * 32, 32, 512))


def solve(
    problem: Problem,
    y: FloatArray,
    weight: FloatArray,
    start: FloatArray,
    *,
    weighted: bool,
    iterations: int = ITERATIONS,
) -> Solution:
    """
    Least squares of many series.

    Parameters
    ----------
    problem
        What is fitted.
    y, weight
        Data less an offset that is held, times the square root of the weight, and that root: (epochs, series).
        Zero leaves an epoch out.
    start
        Parameters to start from, (free, starts, series); the best of the starts is kept.
    weighted
        Whether any weight differs from one.
    iterations
        Most of them.
    """
    shapes, starts, count = start.shape
    at = layout(shapes, problem.held.size)
    state = np.zeros((at.rows, starts * count))
    begin(state, np.ascontiguousarray(start.reshape(shapes, starts * count)), at)
    series = np.tile(np.arange(count), starts)
    width = lanes(problem)
    waiting: IntArray = np.arange(state.shape[1])
    while waiting.size:
        index, waiting = waiting[:width], waiting[width:]
        part = np.empty((at.rows, index.size))
        gather(state, index, part)
        _advance(
            problem, y, weight, series[index], part, weighted=weighted, iterations=iterations, refill=waiting.size > 0
        )
        scatter(part, index, state)
        waiting = np.concatenate([waiting, index[part[at.flag] == RUNNING]])
    if starts > 1:
        best = state[at.cost].reshape(starts, count).argmin(axis=0)
        state = state[:, best * count + np.arange(count)]
    return Solution(
        theta=state[at.theta : at.theta + shapes],
        amplitude=state[at.amplitude :],
        cost=state[at.cost],
        flag=state[at.flag],
    )


def _advance(
    problem: Problem,
    y: FloatArray,
    weight: FloatArray,
    series: IntArray,
    state: FloatArray,
    *,
    weighted: bool,
    iterations: int,
    refill: bool,
) -> None:
    """Iterate a batch until most of its lanes have ended."""
    model, n, count = problem.model, problem.t.size, series.size
    columns, nonlinear = len(model.linear), len(model.nonlinear)
    shapes = problem.free_rows.size
    at = layout(shapes, problem.held.size)
    x = np.empty((2 + columns + nonlinear, n, count))
    gather(y, series, x[-1])
    if weighted:
        gather(weight, series, x[0])
    else:
        x[0] = 1.0
    # An offset that is held is no longer in the data.
    first = 1 if problem.held[0] else 0
    order = np.concatenate([np.arange(first, 1 + columns), 1 + columns + problem.free_rows, [x.shape[0] - 1]])
    inner = at._replace(amplitude=at.amplitude + first)
    limits = np.ascontiguousarray(problem.amplitude_bounds[:, first:])
    work = np.empty((2, order.size, order.size, count))
    p = np.repeat(problem.values[:, None], count, axis=1)
    parameters(state[at.trial : at.trial + shapes], problem.free_rows, problem.logarithmic, p)
    while True:
        model.curve(problem.t, p, x[1 : 1 + columns], x[1 + columns : -1])
        if weighted:
            weigh(x, 1, x.shape[0] - 1)
        running = step(
            x,
            order,
            problem.owner - first,
            problem.held[first:],
            limits,
            problem.logarithmic,
            problem.bounds,
            p,
            problem.free_rows,
            state,
            inner,
            TOLERANCE,
            iterations,
            work,
        )
        if running == 0 or (running <= _REFILL * count and (refill or count > 16)):
            return
