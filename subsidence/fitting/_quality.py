"""What a fitted curve says, and what it does not: flags that keep meaningless numbers from being quoted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subsidence._kernels.fit_results import reversal
from subsidence.fitting._peak import has_peak, settling_term
from subsidence.fitting._problem import Problem
from subsidence.fitting._solver import Solution, solve
from subsidence.typing import BoolArray, FloatArray

__all__ = ["goes_both_ways", "may_be_twice", "unknown"]

#: Standard deviation of a parameter, as a share of it, above which the record does not say it.
_LOOSE = 0.35
#: Share above which a curve with twice the settlement is tried, and how much less likely it must be: the likelihood
#: ratio that chance exceeds in one of a hundred cases.
_TRIED = 0.05
_LIKELIHOOD = 6.63
#: Epochs of the running mean in which a series turns back, by how many of its standard deviations, and by which
#: share of its range.
_WINDOW = 5
_DEVIATIONS = 6.0
_SHARE = 0.25


def unknown(
    problem: Problem,
    optimum: FloatArray,
    std: FloatArray,
    *,
    free: BoolArray,
    peak: FloatArray,
    last: FloatArray,
    twice: BoolArray,
) -> BoolArray:
    """
    Which parameters of which series the record does not say, (parameters, series).

    Parameters
    ----------
    problem
        What was fitted.
    optimum, std
        Parameters and their standard deviations, (parameters, series).
    free
        Which of them were estimated and are at no bound, (parameters, series).
    peak
        Time of the greatest velocity; NaN for a family without one, and when it is still rising far beyond the
        record.
    last
        Last epoch of each series.
    twice
        What :func:`may_be_twice` says.
    """
    model = problem.model
    term = settling_term(model)
    if term.final is None:
        return np.zeros(optimum.shape, bool)
    prefix = "" if term is model else term.prefix
    row = problem.names.index(prefix + term.final)
    if not problem.free[row]:
        return np.zeros(optimum.shape, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        loose = ~(std <= _LOOSE * np.abs(optimum))
    # A parameter at its bound has no standard deviation; another flag says so.
    loose &= free
    late = ~(peak <= last) if has_peak(model) else np.zeros(peak.size, bool)
    # Of offset and onset, which may be zero, a standard deviation is no share.
    quoted = np.array([name in model.linear or name in model.positive for name in problem.names])
    masked: BoolArray = loose & quoted[:, None]
    masked[row] = True
    masked &= loose[row] | late | twice
    return masked


def may_be_twice(
    problem: Problem,
    optimum: FloatArray,
    std: FloatArray,
    *,
    y: FloatArray,
    weight: FloatArray,
    solution: Solution,
    rho: FloatArray,
) -> BoolArray:
    r"""
    Which series a curve with twice the final settlement fits nearly as well.

    A standard deviation is the width of the sum of squares at its bottom; where a record ends early the sum stays low
    far beyond. So the fit is repeated with the amplitude held at twice its optimum, and the series is one whose
    settlement is not known when :math:`(n - p) \ln (RSS_2 / RSS) \le 6.63`, with fewer epochs where noise correlates.
    """
    model, found = problem.model, np.zeros(optimum.shape[1], bool)
    term = settling_term(model)
    if term.final is None:
        return found
    row = problem.names.index(("" if term is model else term.prefix) + term.final)
    # Amplitudes scale with the data, so that the one that is held may be two for all; others that are held may not.
    others = np.delete(problem.amplitude_bounds[0], row + 1)[np.delete(problem.held, row + 1)]
    if not problem.free[row] or np.any(others[1 if problem.held[0] else 0 :] != 0.0):
        return found
    with np.errstate(invalid="ignore"):
        tried = np.flatnonzero((std[row] > _TRIED * np.abs(optimum[row])) & (solution.cost > 0) & (optimum[row] != 0))
    if not tried.size:
        return found
    held, limits = problem.held.copy(), np.where(problem.held, problem.amplitude_bounds, [[-np.inf], [np.inf]])
    held[row + 1], limits[:, row + 1] = True, 2.0
    twice = replace(problem, held=held, amplitude_bounds=limits)
    size, own = optimum[row, tried], np.ascontiguousarray(weight[:, tried])
    start = np.ascontiguousarray(solution.theta[:, None, tried])
    again = solve(twice, np.ascontiguousarray(y[:, tried] * own / size), own, start, weighted=True)
    # Epochs whose noise correlates by rho are worth (1 - rho) / (1 + rho) of independent ones.
    worth = (1.0 - rho[tried]) / (1.0 + rho[tried])
    epochs = worth * ((own > 0).sum(axis=0) - np.count_nonzero(problem.free))
    with np.errstate(divide="ignore"):
        ratio = np.log(again.cost) + 2.0 * np.log(np.abs(size)) - np.log(solution.cost[tried])
    found[tried] = epochs * ratio <= _LIKELIHOOD
    return found


def goes_both_ways(problem: Problem, optimum: FloatArray, y: FloatArray, weight: FloatArray) -> BoolArray:
    """Which series turn back, where a curve of one sign was fitted."""
    model = problem.model
    if model.final is None or settling_term(model) is not model:
        return np.zeros(y.shape[1], bool)
    sign = np.where(optimum[problem.names.index(model.final)] < 0, -1.0, 1.0)
    found = np.empty((3, y.shape[1]))
    reversal(y, weight, sign, _WINDOW, found)
    fall, extent, std = found
    turned: BoolArray = (fall > _DEVIATIONS * std) & (fall > _SHARE * extent)
    return turned
