"""Fits of one block of series: data in, rows of every result out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from subsidence._kernels.fit_results import weighted_mean
from subsidence._kernels.fit_state import CONVERGED
from subsidence.fitting._errors import Fitted, errors
from subsidence.fitting._peak import peak_times
from subsidence.fitting._problem import Problem
from subsidence.fitting._quality import goes_both_ways, may_be_twice, unknown
from subsidence.fitting._robust import reweight
from subsidence.fitting._solver import solve
from subsidence.fitting._starts import Starts
from subsidence.schema import Status
from subsidence.timescale import unit_days
from subsidence.typing import AnyArray, BoolArray, FloatArray

__all__ = ["OUTPUTS", "Task", "fit_block"]

#: Series handled together: their data, states and results stay in a few megabytes.
_SERIES = 4096
_NANOSECONDS_PER_DAY = 86_400_000_000_000
_NAT = np.datetime64("NaT", "ns")

#: Results in the order of a block's output arrays: dimensions, dtype, value without a fit.
OUTPUTS: dict[str, tuple[tuple[str, ...], npt.DTypeLike, Any]] = {
    "optimum": (("parameter",), np.float64, np.nan),
    "estimate": (("parameter",), np.float64, np.nan),
    "estimate_std": (("parameter",), np.float64, np.nan),
    "covariance": (("parameter", "parameter_2"), np.float64, np.nan),
    "rmse": ((), np.float64, np.nan),
    "noise_std": ((), np.float64, np.nan),
    "r_squared": ((), np.float64, np.nan),
    "noise_autocorrelation": ((), np.float64, np.nan),
    "noise_dof": ((), np.float64, np.nan),
    "aicc": ((), np.float64, np.nan),
    "bic": ((), np.float64, np.nan),
    "epoch_count": ((), np.int32, 0),
    "status": ((), np.int8, int(Status.NO_DATA)),
    "time_of_peak": ((), "M8[ns]", _NAT),
    "record_start": ((), "M8[ns]", _NAT),
    "record_end": ((), "M8[ns]", _NAT),
}


@dataclass(frozen=True)
class Task:
    """What is done to every block."""

    problem: Problem
    starts: Starts
    start_count: int
    epochs: npt.NDArray[np.datetime64]
    origin: np.datetime64
    #: weight of each epoch where all places share it, and whether weights are standard deviations instead
    weight: FloatArray | None
    weights_are_std: bool
    loss: str
    loss_scale: float | None
    autocorrelated: bool


def fit_block(start: int, stop: int, displacement: FloatArray, *arrays: AnyArray, task: Task) -> None:
    """
    Fit the series ``start..stop`` of `displacement` (epochs, places).

    `arrays` are the weights (epochs, places), where each place has its own, and the outputs as `OUTPUTS` says.
    """
    outputs = dict(zip(OUTPUTS, arrays[-len(OUTPUTS) :], strict=True))
    own_weight = arrays[0] if len(arrays) > len(OUTPUTS) else None
    for first in range(start, stop, _SERIES):
        part = slice(first, min(first + _SERIES, stop))
        y = displacement[:, part].astype(np.float64)
        weight = np.isfinite(y).astype(np.float64)
        given = own_weight[:, part] if own_weight is not None else task.weight
        if given is not None:
            scale = np.asarray(given, np.float64).reshape(len(y), -1)
            known = np.isfinite(scale) & (scale > 0)
            scale = np.where(known, scale, 1.0)
            weight *= np.where(known, 1.0 / scale if task.weights_are_std else scale, 0.0)
        np.copyto(y, 0.0, where=weight == 0)
        results = _fit(y, weight, task)
        for name, rows in results.items():
            outputs[name][..., part] = rows


def _fit(y: FloatArray, weight: FloatArray, task: Task) -> dict[str, AnyArray]:
    """Every result of series `y` (epochs, series), in which epochs of zero weight are zero."""
    problem = task.problem
    size, count = len(problem.names), y.shape[1]
    shapes = {"parameter": size, "parameter_2": size}
    results = {
        name: np.full((*(shapes[dim] for dim in dims), count), fill, dtype)
        for name, (dims, dtype, fill) in OUTPUTS.items()
    }
    valid = weight > 0
    epochs = valid.sum(axis=0)
    results["epoch_count"][:] = epochs
    results["status"][epochs > 0] = Status.TOO_FEW_EPOCHS
    some = np.flatnonzero(epochs > 0)
    results["record_start"][some] = task.epochs[valid[:, some].argmax(axis=0)]
    results["record_end"][some] = task.epochs[len(y) - 1 - valid[::-1, some].argmax(axis=0)]
    usable = np.flatnonzero(epochs > np.count_nonzero(problem.free))
    if usable.size:
        whole = usable.size == count
        fitted = _fit_usable(
            y if whole else np.ascontiguousarray(y[:, usable]),
            weight if whole else np.ascontiguousarray(weight[:, usable]),
            task,
        )
        for name, rows in fitted.items():
            results[name][..., usable] = rows
    return results


def _fit_usable(y: FloatArray, weight: FloatArray, task: Task) -> dict[str, AnyArray]:
    """Results of series that have more epochs than parameters."""
    problem = task.problem
    level = _level(y, weight, problem)
    weighted = not bool((weight == 1.0).all())
    rest = y - level
    start = task.starts.choose(rest, weight, task.start_count)
    if weighted:
        solution = solve(problem, rest * weight, weight, start, weighted=True)
    else:
        solution = solve(problem, rest, weight, start, weighted=False)
    threshold, root = None, weight
    if task.loss != "linear":
        solution, threshold, root = reweight(problem, rest, weight, solution, loss=task.loss, scale=task.loss_scale)
    amplitude = solution.amplitude.copy()
    amplitude[0] += level
    values, at_bound = _parameters(problem, solution.theta, amplitude)
    optimum = np.stack([values[name] for name in problem.names])
    free = problem.free[:, None] & ~at_bound
    fitted = Fitted(problem, optimum, free, y, weight)
    results = errors(fitted, autocorrelated=task.autocorrelated, loss=task.loss, threshold=threshold)
    results["optimum"] = optimum
    peak = peak_times(problem.model, values, problem.time, results.pop("seen"))
    results["time_of_peak"] = _dates(peak, task)
    std = np.sqrt(np.einsum("ppb->pb", results["covariance"]))
    estimate = optimum.copy()
    status = np.full(y.shape[1], int(Status.OK), np.int8)
    status[goes_both_ways(problem, optimum, y, weight)] = Status.MIXED_SIGNS
    status[at_bound.any(axis=0)] = Status.AT_BOUND
    status[solution.flag != CONVERGED] = Status.NOT_CONVERGED
    rho = np.clip(results["noise_autocorrelation"], 0.0, 0.95) if task.autocorrelated else np.zeros(y.shape[1])
    twice = may_be_twice(problem, optimum, std, y=rest, weight=root, solution=solution, rho=rho)
    masked = unknown(problem, optimum, std, free=free, peak=peak, last=_last_epochs(problem, weight), twice=twice)
    status[masked.any(axis=0)] = Status.NOT_IDENTIFIABLE
    std[at_bound] = np.nan
    estimate[masked], std[masked] = np.nan, np.inf
    results["estimate"], results["estimate_std"], results["status"] = estimate, std, status
    return results


def _last_epochs(problem: Problem, weight: FloatArray) -> FloatArray:
    """Time of the last epoch that each series has."""
    times: FloatArray = problem.time[len(weight) - 1 - (weight > 0)[::-1].argmax(axis=0)]
    return times


def _level(y: FloatArray, weight: FloatArray, problem: Problem) -> FloatArray:
    """What is taken off the data before the fit: the offset that is held, or a mean, so that digits are kept."""
    if problem.held[0]:
        return np.full(y.shape[1], problem.amplitude_bounds[0, 0])
    if not problem.offset_free:
        return np.zeros(y.shape[1])
    mean = np.empty(y.shape[1])
    weighted_mean(y, weight, mean)
    return mean


def _parameters(problem: Problem, theta: FloatArray, amplitude: FloatArray) -> tuple[dict[str, FloatArray], BoolArray]:
    """Parameters by name in the user's unit of time, and which of them stopped at a bound."""
    count = theta.shape[1]
    inside = {"offset": amplitude[0], **dict(zip(problem.model.linear, amplitude[1:], strict=True))}
    shapes = np.repeat(problem.values[:, None], count, axis=1)
    shapes[problem.free_rows] = np.where(problem.logarithmic[:, None], np.exp(theta), theta)
    inside |= dict(zip(problem.model.nonlinear, shapes, strict=True))
    stopped = dict.fromkeys(problem.names, np.zeros(count, bool))
    for row, value, low, high in zip(problem.free_rows, theta, *problem.bounds, strict=True):
        stopped[problem.model.nonlinear[row]] = (value <= low) | (value >= high)
    amplitudes = ("offset", *problem.model.linear)
    for name, held, low, high in zip(amplitudes, problem.held, *problem.amplitude_bounds, strict=True):
        if not held:
            stopped[name] = (inside[name] <= low) | (inside[name] >= high)
    values = {name: inside[name] for name in problem.names}
    return problem.outside(values), np.stack([stopped[name] for name in problem.names])


def _dates(time: FloatArray, task: Task) -> npt.NDArray[np.datetime64]:
    """Times in the model's unit as dates; NaT where there is none that nanoseconds can hold."""
    span = unit_days(task.problem.model.time_unit) * _NANOSECONDS_PER_DAY
    nanoseconds = np.where(np.abs(time) * span < 4e18, time * span, np.nan)
    dates = np.full(time.shape, _NAT)
    known = np.isfinite(nanoseconds)
    dates[known] = task.origin + nanoseconds[known].astype(np.int64).astype("m8[ns]")
    return dates
