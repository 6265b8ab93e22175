"""How far adjusted values may be off, when the errors of arcs are mostly those of the points they join.

An arc's estimate errs by e_end - e_start + u: the noise of its two points, which every arc at a point shares and
which always closes around triangles, and what the arc alone errs by. Propagating stated variances as if arcs were
independent counts e along every path; taking misclosures for the whole error forgets it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from subsidence._kernels.point_variance import split_variance
from subsidence.phase_model._adjustment import Adjusted, Adjustment, Problem, Structure
from subsidence.phase_model._rejection import Outcome
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Datum", "Tie", "values_at_points"]

#: Pull of a point's variance towards half the mean of its arcs', in weights of these arcs.
_PULL = 0.01
_SWEEPS = 1000
_TOLERANCE = 1e-8
#: Smallest share of an arc's stated variance that counts as its own beside ties: keeps their weights in one range.
_SMALLEST_FACTOR = 1e-4


def variance_factor(problem: Problem, adjusted: Adjusted, accepted: BoolArray, points: int, parts: int) -> float:
    """
    Variance of what arcs alone err by, over their stated variances, from how they contradict each other.

    One more observation that errs as stated is counted in: with no arc to spare that alone speaks, and the
    arcs' errors are then taken as stated and independent.
    """
    squares = float(np.sum((adjusted.misfit[accepted] / problem.std[accepted]) ** 2))
    freedom = int(accepted.sum()) - (points - parts)
    return (squares + 1.0) / (freedom + 1.0)


def point_variance(structure: Structure, problem: Problem, accepted: BoolArray, factor: float) -> FloatArray:
    """
    Variance of every point's own noise, zero without arcs.

    Of an arc's stated variance the share `factor` is its own, since it does not close; the rest is the sum
    of its two points'.
    """
    points = structure.points
    share = max(1.0 - factor, 0.0)
    found = np.zeros(points)
    if share == 0.0 or not accepted.any():
        return found
    start, end = structure.start[accepted], structure.end[accepted]
    total = problem.std[accepted] ** 2
    size = float(np.median(total))
    total = total / size
    ends = np.concatenate([start, end])
    order = np.argsort(ends, kind="stable")
    other = np.concatenate([end, start])[order].astype(np.int32)
    arc = np.tile(np.arange(start.size), 2)[order]
    count = np.bincount(ends, minlength=points)
    first = np.concatenate([[0], np.cumsum(count)])
    expected = 0.5 * np.bincount(ends, np.tile(total, 2), points) / np.maximum(count, 1)
    found = expected.copy()
    for _ in range(4):
        fitted = np.maximum(found[start] + found[end], 0.1 * total)
        # a stated variance errs in proportion to itself; one far off the others (a slipped epoch) weighs little
        relative = (total - fitted) / fitted
        limit = 2 * max(1.4826 * float(np.median(np.abs(relative))), 1e-3)
        weight = np.minimum(1.0, limit / np.maximum(np.abs(relative), limit)) / fitted**2
        pull = _PULL * np.bincount(ends, np.tile(weight, 2), points)
        split_variance(first, other, weight[arc], (weight * total)[arc], pull, expected, _SWEEPS, _TOLERANCE, found)
    result: FloatArray = share * size * _expected(start, end, total, weight, found)
    return result


def _expected(start: IntArray, end: IntArray, total: FloatArray, weight: FloatArray, found: FloatArray) -> FloatArray:
    """
    Mean of each point's variance given its neighbours', all that is not negative being equally likely before.

    Least squares alone sets the variance of a quiet point among noisy ones to zero as often as not, and its standard
    deviation would be far too small.
    """
    points = found.size
    misfit = total - found[start] - found[end]
    ends = np.concatenate([start, end])
    weights = np.bincount(ends, np.tile(weight, 2), points)
    joined = weights > 0
    spare = max(start.size - int(joined.sum()), 1)
    scatter = float(np.sum(weight * misfit**2)) / spare
    step = np.bincount(ends, np.tile(weight * misfit, 2), points)[joined] / weights[joined]
    std = np.sqrt(scatter / weights[joined])
    alone = found[joined] + step
    result = found.copy()
    if scatter > 0:
        ratio = alone / std
        # mean of a normal variable that is known to be positive; logarithms reach far below zero
        result[joined] = alone + std * np.exp(-0.5 * ratio**2 - special.log_ndtr(ratio)) / np.sqrt(2 * np.pi)
    return result


@dataclass(frozen=True, eq=False)
class Datum:
    """What values are relative to.

    Parameters
    ----------
    part
        Part of every point, -1 without arcs.
    points
        The grounded point of every part.
    area
        Points whose mean is zero in their part, instead of its grounded point; None for none.
    """

    part: IntArray
    points: IntArray
    area: IntArray | None = None


def solution_variance(
    adjusted: Adjusted, noise: FloatArray, factor: float, datum: Datum, adjustment: Adjustment | None
) -> tuple[FloatArray, FloatArray]:
    """
    Values relative to the datum, and their variances, by point; NaN without arcs.

    Parameters
    ----------
    adjusted
        Relative to the grounded points.
    noise
        Variance of every point's own noise.
    factor
        Variance factor of the arcs' own errors.
    datum
        See there.
    adjustment
        The same weights factorised, for covariances with an area.
    """
    joined = datum.part >= 0
    values = adjusted.values.copy()
    variance = factor * adjusted.cofactor + noise
    variance[joined] += noise[datum.points[datum.part[joined]]]
    variance[datum.points] = 0.0
    if datum.area is not None and adjustment is not None:
        size = datum.area.size
        right = np.zeros(values.size)
        right[datum.area] = 1.0 / size
        # row of the inverse for the area's mean; grounded points have none, their value is no unknown
        with_mean = adjustment.solve(right)
        inside = datum.part == datum.part[datum.area[0]]
        values[inside] -= values[datum.area].mean()
        spread = adjusted.cofactor - 2 * with_mean + with_mean[datum.area].mean()
        own = noise.copy()
        own[datum.area] *= 1.0 - 2.0 / size
        relative = factor * np.maximum(spread, 0.0) + own + noise[datum.area].sum() / size**2
        variance[inside] = np.maximum(relative, 0.0)[inside]
    return np.where(joined, values, np.nan), np.where(joined, variance, np.nan)


@dataclass(frozen=True, eq=False)
class Tie:
    """Known values at points, each point once."""

    points: IntArray
    values: FloatArray
    std: FloatArray


def tied_solution(
    structure: Structure,
    problem: Problem,
    accepted: BoolArray,
    *,
    noise: FloatArray,
    factor: float,
    datum: Datum,
    tie: Tie,
) -> tuple[FloatArray, FloatArray]:
    """
    Values and variances with the datum from ties: weighted pseudo-observations.

    A tied point's apparent value also holds its own noise, so a tie weighs 1 / (its variance + that noise).
    Parts without a tie keep their grounded point.
    """
    count = structure.points
    joined = datum.part >= 0
    tied = np.zeros(count)
    tied[tie.points] = 1.0 / (tie.std**2 + noise[tie.points])
    known = np.zeros(count)
    known[tie.points] = tie.values
    grounded = ~joined
    with_tie = np.zeros(datum.points.size, bool)
    with_tie[datum.part[tie.points]] = True
    grounded[datum.points[~with_tie]] = True
    scale = max(factor, _SMALLEST_FACTOR)
    weight = np.where(accepted, 1.0 / (scale * problem.std**2), 0.0)
    adjustment = Adjustment.of(structure, weight, grounded, tied)
    values = adjustment.fit(problem.observed, known)
    cofactor, _ = adjustment.inverse()
    # the noise of a tied point is in its tie's misfit and in itself
    variance = cofactor + noise * (1.0 - 2.0 * cofactor * tied)
    alone = joined & ~with_tie[datum.part]
    variance[alone] += noise[datum.points[datum.part[alone]]]
    variance[datum.points[~with_tie]] = 0.0
    return np.where(joined, values, np.nan), np.where(joined, np.maximum(variance, 0.0), np.nan)


def values_at_points(
    structure: Structure, problem: Problem, adjusted: Adjusted, *, outcome: Outcome, datum: Datum, tie: Tie | None
) -> tuple[FloatArray, FloatArray, float]:
    """Values, variances and variance factor of one parameter, once arcs and datum are settled."""
    joined = int((datum.part >= 0).sum())
    factor = variance_factor(problem, adjusted, outcome.accepted, joined, datum.points.size)
    noise = point_variance(structure, problem, outcome.accepted, factor)
    if tie is not None and problem.name == "velocity":
        values, variance = tied_solution(
            structure, problem, outcome.accepted, noise=noise, factor=factor, datum=datum, tie=tie
        )
        return values, variance, factor
    adjustment = None
    if datum.area is not None:
        grounded = datum.part < 0
        grounded[datum.points] = True
        weight = np.where(outcome.accepted, problem.std**-2.0, 0.0)
        adjustment = Adjustment.of(structure, weight, grounded)
    values, variance = solution_variance(adjusted, noise, factor, datum, adjustment)
    return values, variance, factor
