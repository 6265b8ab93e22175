"""Robust losses by least squares whose weights follow the residuals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subsidence._kernels.fit_results import combine
from subsidence._kernels.robust_fit import CAUCHY, HUBER, robust_scale, robust_weights
from subsidence.fitting._problem import Problem
from subsidence.fitting._solver import Solution, lanes, solve
from subsidence.typing import FloatArray

__all__ = ["LOSSES", "reweight"]

#: Number of a loss in the kernels, and the threshold in standard deviations with which it is 95 % efficient.
LOSSES = {"huber": (HUBER, 1.345), "cauchy": (CAUCHY, 2.385)}
#: Rounds of new weights; after some of them the scale stands still, because it may go back and forth.
_ROUNDS = 300
_SCALED = 40
#: A curve that moves by less than this share of the threshold has converged.
_MOVED = 1e-7
#: Iterations of the fit between new weights.
_ITERATIONS = 3
#: Scale below this share of the largest value: at least half of the epochs lie on the curve.
_EXACT = 1e-12


def reweight(
    problem: Problem, y: FloatArray, weight: FloatArray, solution: Solution, *, loss: str, scale: float | None
) -> tuple[Solution, FloatArray, FloatArray]:
    """
    Go on from least squares to a robust loss.

    Parameters
    ----------
    problem
        What is fitted.
    y, weight
        Data less their level, and one over their standard deviations, zero to leave an epoch out.
    solution
        Where least squares ended.
    loss
        "huber" or "cauchy".
    scale
        Threshold of the weighted residuals; None takes it from their median, series by series.

    Returns
    -------
    solution, threshold, weight
        Where the robust fit ended, the threshold of each series, and the weights with which least squares is there.
    """
    number, constant = LOSSES[loss]
    theta, amplitude, cost = solution.theta.copy(), solution.amplitude.copy(), solution.cost.copy()
    flag = np.full(cost.size, 2.0)
    threshold = np.full(cost.size, np.nan if scale is None else scale)
    floor = np.maximum(_EXACT * np.abs(weight * y).max(axis=0), 1e-300)
    active = np.flatnonzero(solution.flag > 0)
    before, final = np.zeros(y.shape), weight.copy()
    for number_of_round in range(_ROUNDS):
        data, base = np.ascontiguousarray(y[:, active]), np.ascontiguousarray(weight[:, active])
        residual = data - curves(problem, theta[:, active], amplitude[:, active])
        if scale is None and number_of_round < _SCALED:
            size = np.empty(active.size)
            robust_scale(residual, base, size)
            threshold[active] = np.maximum(constant * size, floor[active])
        limit = np.ascontiguousarray(threshold[active])
        moved = np.abs(base * (residual - before[:, active])).max(axis=0)
        before[:, active] = residual
        going = (moved > _MOVED * limit) | (number_of_round == 0)
        flag[active[~going]] = 1.0
        if not going.any():
            break
        active, data, base = active[going], data[:, going], base[:, going]
        root = np.empty_like(data)
        robust_weights(np.ascontiguousarray(residual[:, going]), base, limit[going], number, root)
        final[:, active] = root
        start = theta[:, None, active]
        found = solve(problem, data * root, root, start, weighted=True, iterations=_ITERATIONS)
        theta[:, active], amplitude[:, active], cost[active] = found.theta, found.amplitude, found.cost
    return replace(solution, theta=theta, amplitude=amplitude, cost=cost, flag=flag), threshold, final


def curves(problem: Problem, theta: FloatArray, amplitude: FloatArray) -> FloatArray:
    """Fitted curves inside the solver's unit of time, (epochs, series), with the offset less the data's level."""
    model, n, count = problem.model, problem.t.size, theta.shape[1]
    out = np.empty((n, count))
    width = lanes(problem)
    for first in range(0, count, width):
        part = slice(first, min(first + width, count))
        p = np.repeat(problem.values[:, None], out[:, part].shape[1], axis=1)
        p[problem.free_rows] = np.where(problem.logarithmic[:, None], np.exp(theta[:, part]), theta[:, part])
        columns = np.empty((len(model.linear), n, p.shape[1]))
        model.curve(problem.t, p, columns, np.empty((len(model.nonlinear), n, p.shape[1])))
        whole = np.empty((n, p.shape[1]))
        combine(columns, np.ascontiguousarray(amplitude[1:, part]), whole)
        out[:, part] = amplitude[0, part] + whole
    return out
