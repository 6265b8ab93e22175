"""Covariance, noise and measures of fit of curves at their optimum, in the user's parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence._kernels.fit_noise import finish_covariance
from subsidence._kernels.fit_results import finish, spread, steepest
from subsidence._kernels.robust_fit import robust_scale, robust_variance
from subsidence.fitting._peak import settling_columns
from subsidence.fitting._problem import Problem
from subsidence.fitting._robust import LOSSES
from subsidence.fitting._solver import lanes
from subsidence.typing import AnyArray, BoolArray, FloatArray

__all__ = ["Fitted", "errors"]


@dataclass(frozen=True)
class Fitted:
    """
    Curves at their optimum, and what they were fitted to.

    Parameters
    ----------
    problem
        What was fitted.
    optimum
        Parameters, (parameters, series).
    free
        Which were estimated and are at no bound, (parameters, series).
    y, weight
        Data and one over their standard deviations, zero to leave an epoch out, (epochs, series).
    """

    problem: Problem
    optimum: FloatArray
    free: BoolArray
    y: FloatArray
    weight: FloatArray


def errors(fitted: Fitted, *, autocorrelated: bool, loss: str, threshold: FloatArray | None) -> dict[str, AnyArray]:
    """
    Results that follow from residuals and derivatives, by name.

    Besides those of a FITS Dataset, ``seen`` is what :func:`steepest` says of the peak. `threshold` is that of
    a robust loss, series by series.
    """
    problem = fitted.problem
    size, count = fitted.optimum.shape
    rows = np.flatnonzero(problem.free)
    covariance = np.zeros((size, size, count))
    rho, sigma, dof = np.empty(count), np.empty(count), np.empty(count)
    sums, seen = np.empty((4, count)), np.empty((4, count))
    gaps = np.diff(problem.time)
    gaps = gaps / np.median(gaps)
    width = lanes(problem)
    for first in range(0, count, width):
        part = slice(first, min(first + width, count))
        data, weight = np.ascontiguousarray(fitted.y[:, part]), np.ascontiguousarray(fitted.weight[:, part])
        free = np.ascontiguousarray(fitted.free[rows, part])
        residual, jacobian, peak = _evaluate(problem, np.ascontiguousarray(fitted.optimum[:, part]), rows, free, data)
        total = np.empty((4, data.shape[1]))
        spread(data, residual, weight, total)
        sums[:, part], seen[:, part] = total, peak
        matrix = np.empty((rows.size, rows.size, data.shape[1]))
        finish_covariance(
            jacobian, residual, weight, gaps, free, autocorrelated, matrix, rho[part], sigma[part], dof[part]
        )
        if threshold is not None:
            limit = np.ascontiguousarray(threshold[part])
            variance, scale = np.empty(limit.size), np.empty(limit.size)
            parameters = free.sum(axis=0).astype(np.float64)
            robust_variance(residual, weight, limit, LOSSES[loss][0], parameters, variance)
            robust_scale(residual, weight, scale)
            with np.errstate(divide="ignore", invalid="ignore"):
                matrix *= np.where(sigma[part] > 0, variance / sigma[part] ** 2, 1.0)
            sigma[part] = scale
        covariance[rows[:, None], rows, part] = matrix
    measures = _measures(sums, int(problem.free.sum()) + 1)
    return {
        "covariance": covariance,
        "noise_std": sigma,
        "noise_autocorrelation": rho,
        "noise_dof": dof,
        "seen": seen,
        **measures,
    }


def _evaluate(
    problem: Problem, parameters: FloatArray, rows: AnyArray, free: BoolArray, data: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residuals, derivatives by the parameters `rows`, and where the curves are fastest."""
    model, n, count = problem.model, problem.time.size, parameters.shape[1]
    linear = len(model.linear)
    columns, gradient = np.empty((linear, n, count)), np.empty((len(model.nonlinear), n, count))
    model.curve(problem.time, np.ascontiguousarray(parameters[linear:-1]), columns, gradient)
    amplitude = np.concatenate([parameters[-1:], parameters[:linear]])
    owner = 1 + np.array(model.owner or (0,) * len(model.nonlinear), np.int64)
    residual, jacobian = np.empty((n, count)), np.empty((rows.size, n, count))
    finish(columns, gradient, amplitude, owner, rows, free, data, residual, jacobian)
    peak = np.empty((4, count))
    own = settling_columns(model)
    steepest(columns[own], np.ascontiguousarray(parameters[:linear][own]), problem.time, peak)
    return residual, jacobian, peak


def _measures(sums: FloatArray, k: int) -> dict[str, FloatArray]:
    """Measures of fit from the sums of :func:`spread`; `k` counts the parameters and the variance."""
    squares, weighted, total, epochs = sums
    room = epochs - k - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = epochs * np.log(weighted / epochs)
        correction = np.where(room > 0, 2.0 * k * (k + 1) / room, np.nan)
        r_squared = np.where(total > 0, 1.0 - squares / total, np.nan)
    return {
        "rmse": np.sqrt(squares / epochs),
        "r_squared": r_squared,
        "aicc": likelihood + 2 * k + correction,
        "bic": likelihood + k * np.log(epochs),
    }
