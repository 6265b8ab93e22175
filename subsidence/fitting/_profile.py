"""Least squares of many curves at once while some non-linear parameters are held: variable projection.

Amplitudes and offset follow from the shape by linear least squares, so that only the shape is sought, by
Levenberg and Marquardt's method on the projected problem (Kaufman's Jacobian). All curves take a step
together, which makes profiles and bootstraps of a hundred series a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from subsidence._kernels.held_curves import project
from subsidence.models._base import TimeModel
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Problem", "misfits", "solve"]

#: Steps after which a curve is left as it is.
_ROUNDS = 60
#: Logarithms of positive parameters stay within these.
_LOGARITHM = 250.0


@dataclass(frozen=True)
class Problem:
    """A time function at the epochs of a series, and what of it is sought."""

    model: TimeModel
    time: FloatArray
    weight: FloatArray

    @cached_property
    def linear(self) -> tuple[str, ...]:
        """Names that are coefficients: amplitudes and offset."""
        return (*self.model.linear, "offset")

    @cached_property
    def held(self) -> dict[str, float]:
        """Values of parameters that stay."""
        return self.model.held()

    @property
    def count(self) -> int:
        """Parameters that are sought."""
        return len(self.model.units) - len(self.held)

    def free(self, *, without: str | None = None) -> list[int]:
        """Rows of the non-linear parameters that are sought."""
        held = self.held
        return [row for row, name in enumerate(self.model.nonlinear) if name not in held and name != without]

    def limits(self, rows: list[int]) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Lowest and highest value of what is varied, and whether that is the logarithm, (rows, 1) each."""
        names = [self.model.nonlinear[row] for row in rows]
        hints: list[Mapping[str, float]] = [self.model.param_hints.get(name, {}) for name in names]
        low = np.array([[hint.get("min", -np.inf)] for hint in hints]).reshape(-1, 1)
        high = np.array([[hint.get("max", np.inf)] for hint in hints]).reshape(-1, 1)
        positive = np.array([[name in self.model.positive] for name in names]).reshape(-1, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(positive, np.maximum(np.log(np.maximum(low, 0.0)), -_LOGARITHM), low)
            high = np.where(positive, np.minimum(np.log(np.maximum(high, 0.0)), _LOGARITHM), high)
        return low, high, positive


@dataclass
class _State:
    """Where each curve stands: misfit (curves,), amplitudes (curves, linear), the misfit's slope and curvature."""

    misfit: FloatArray
    amplitudes: FloatArray
    slope: FloatArray
    curvature: FloatArray


def misfits(problem: Problem, data: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum of squares (curves,) and amplitudes (curves, linear) of curves `p` to `data` (curves, times)."""
    state = _evaluate(problem, data, p, [])
    return state.misfit, state.amplitudes


def solve(
    problem: Problem, data: FloatArray, p: FloatArray, *, without: str | None = None, tolerance: float = 1e-8
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """
    Best curves near a start.

    Parameters
    ----------
    problem
        What is fitted.
    data
        Values, (curves, times).
    p
        Start, (nonlinear, curves), as the model's `curve` takes it.
    without
        Name of a parameter to hold at its value in `p` besides those that the model holds.
    tolerance
        Share of its misfit that the last step of a curve gains.

    Returns
    -------
    p, misfit, amplitudes : numpy.ndarray
        Of shapes (nonlinear, curves), (curves,) and (curves, linear).
    """
    rows = problem.free(without=without)
    low, high, positive = problem.limits(rows)
    p = p.copy()
    p[rows] = _back(np.clip(_forth(p[rows], positive), low, high), positive)
    best = _evaluate(problem, data, p, rows)
    damping = np.full(len(data), 1e-2)
    active = np.arange(len(data) if rows else 0)
    for _ in range(_ROUNDS):
        if not active.size:
            break
        start = _forth(p[rows][:, active], positive)
        scale = np.where(positive, p[rows][:, active], 1.0).T
        step = _step(best, active, scale, damping[active], ((start <= low).T, (start >= high).T))
        trial = p[:, active]
        trial[rows] = _back(np.clip(start + step.T, low, high), positive)
        found = _evaluate(problem, data[active], trial, rows)
        before = best.misfit[active]
        better = found.misfit < before
        taken = active[better]
        p[:, taken] = trial[:, better]
        best.misfit[taken], best.amplitudes[taken] = found.misfit[better], found.amplitudes[better]
        best.slope[taken], best.curvature[taken] = found.slope[better], found.curvature[better]
        damping[active] *= np.where(better, 0.2, 5.0)
        little = better & (before - found.misfit <= tolerance * before)
        active = active[~(little | (damping[active] > 1e8))]
    return p, best.misfit, best.amplitudes


def _forth(values: FloatArray, positive: BoolArray) -> FloatArray:
    return np.where(positive, np.log(np.maximum(values, np.exp(-_LOGARITHM))), values)


def _back(varied: FloatArray, positive: BoolArray) -> FloatArray:
    return np.where(positive, np.exp(np.where(positive, varied, 0.0)), varied)


def _evaluate(problem: Problem, data: FloatArray, p: FloatArray, rows: list[int]) -> _State:
    """Project `data` on the columns of the curves `p`; derivatives by the rows that are varied."""
    model, count = problem.model, len(data)
    columns = np.empty((len(model.linear), problem.time.size, count))
    gradient = np.empty((len(model.nonlinear), problem.time.size, count))
    model.curve(problem.time, p, columns, gradient)
    amplitudes = np.empty((count, len(problem.linear)))
    amplitudes[:] = [problem.held.get(name, 0.0) for name in problem.linear]
    sought = np.array([name not in problem.held for name in problem.linear])
    owner = model.owner or (0,) * len(model.nonlinear)
    owners = np.array([owner[row] for row in rows], np.int64)
    state = _State(np.empty(count), amplitudes, np.empty((count, len(rows))), np.empty((count, len(rows), len(rows))))
    project(
        columns,
        gradient,
        data,
        problem.weight,
        amplitudes,
        sought,
        np.array(rows, np.int64),
        owners,
        state.misfit,
        state.slope,
        state.curvature,
    )
    return state


def _step(
    state: _State, index: IntArray, scale: FloatArray, damping: FloatArray, at: tuple[BoolArray, BoolArray]
) -> FloatArray:
    """Levenberg and Marquardt's step of each curve, zero for a parameter `at` a bound that it is pushed against."""
    slope = state.slope[index] * scale
    curvature = state.curvature[index] * (scale[:, :, None] * scale[:, None, :])
    diagonal = np.einsum("kii->ki", curvature)
    # A parameter that the curve does not turn with, or that is at its bound, stays where it is.
    idle = diagonal <= 1e-24 * diagonal.max(-1, keepdims=True)
    idle |= (at[0] & (slope < 0)) | (at[1] & (slope > 0))
    size = np.sqrt(np.where(idle, 1.0, diagonal))
    slope = np.where(idle, 0.0, slope / size)
    curvature = curvature / (size[:, :, None] * size[:, None, :])
    curvature = np.where(idle[:, :, None] | idle[:, None, :], 0.0, curvature)
    curvature += np.where(idle, 1.0, damping[:, None] + 1e-13)[:, :, None] * np.eye(slope.shape[1])
    step: FloatArray = np.linalg.solve(curvature, slope[..., None])[..., 0] / size
    return step
