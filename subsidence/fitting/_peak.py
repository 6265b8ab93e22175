"""When fitted curves are fastest, for many of them at once and whatever their family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.fit_results import combine
from subsidence.models._base import TimeModel
from subsidence.models._units import converted
from subsidence.typing import FloatArray

__all__ = ["has_peak", "peak_times", "settling_columns", "settling_term"]

#: Nodes of the first search, in records from its start: a record before it, ten after its end.
_NODES = np.concatenate([np.linspace(-1.0, 0.0, 8)[:-1], np.linspace(0.0, 1.0, 25), 1.0 + np.geomspace(0.05, 10.0, 16)])
#: Steps of Newton's method; the last one is below a share of the intervals that squares to nothing.
_NEWTON = 2
_SETTLED = 3e-3
#: Times beside each other, in units of the peak's, for the slope of the acceleration.
_BESIDE = np.array([1.0, 1.0 + 1e-5])
#: The peak is found to this share of the record, in so many steps at most.
_PRECISION = 1e-6
_STEPS = 40


def settling_term(model: TimeModel) -> TimeModel:
    """Term of a sum that settles, as milestones are of; any other model itself."""
    settling: TimeModel | None = getattr(model, "settling", None)
    terms: list[TimeModel] | None = getattr(model, "terms", None)
    return settling or (terms[0] if terms else model)


def settling_columns(model: TimeModel) -> slice:
    """Columns of the term that settles, in those of the model."""
    term = settling_term(model)
    prefix = "" if term is model else term.prefix
    first = model.linear.index(prefix + term.linear[0])
    return slice(first, first + len(term.linear))


def has_peak(model: TimeModel) -> bool:
    """Whether the family says when its curves are fastest."""
    return type(settling_term(model)).time_of_peak is not TimeModel.time_of_peak


def peak_times(model: TimeModel, values: Mapping[str, FloatArray], time: FloatArray, seen: FloatArray) -> FloatArray:
    """
    Time of the greatest velocity of each curve.

    Parameters
    ----------
    model
        The time function.
    values
        Its parameters by name without prefix, (curves,), in its unit of time.
    time
        Epochs that curves were fitted to.
    seen
        What the epochs show of the peak, as from :func:`steepest`.

    Returns
    -------
    numpy.ndarray
        In the model's unit; NaN for families that say nothing about a peak, curves that do not move, and
        curves that are still accelerating ten records after the last epoch.

    Notes
    -----
    From the steepest interval between epochs, Newton's method on the acceleration leads to the peak. Where it
    does not stay close by, as for peaks beyond the record and curves that jump, the velocity is looked at on a
    grid and the change of sign of the acceleration followed from there. Peaks before the origin are known to
    the grid only.
    """
    if not has_peak(model):
        return np.full(seen.shape[1], np.nan)
    term = settling_term(model)
    own = _own_values(model, term, values)
    found = _newton(term, own, time, seen)
    rest = np.flatnonzero(np.isnan(found))
    if rest.size:
        found[rest] = _search(term, {name: row[rest] for name, row in own.items()}, time[0], time[-1])
    return found


def _newton(term: TimeModel, values: Mapping[str, FloatArray], time: FloatArray, seen: FloatArray) -> FloatArray:
    """Peaks inside the record; NaN where the steps do not stay near it."""
    at = seen[0].astype(np.int64)
    found = np.full(at.size, np.nan)
    middle, width = 0.5 * (time[1:] + time[:-1]), np.diff(time)
    inside = np.flatnonzero((at > 0) & (at < width.size - 1) & (seen[1] != 0) & (time[at] > 0))
    if inside.size == 0:
        return found
    at, (_, here, before, after) = at[inside], seen[:, inside]
    # Vertex of the parabola through the mean velocities of three intervals.
    left, right = middle[at] - middle[at - 1], middle[at + 1] - middle[at]
    rise, fall = (here - before) / left, (here - after) / right
    with np.errstate(invalid="ignore", divide="ignore"):
        first = middle[at] + 0.5 * (rise * right - fall * left) / (rise + fall)
    reach = left + right
    part = {name: row[inside] for name, row in values.items()}
    units = {name: term.units[name] for name in part}
    peak = np.where(np.isfinite(first), first, middle[at])
    step = np.full(peak.size, np.inf)
    near = np.ones(peak.size, bool)
    for _ in range(_NEWTON):
        factor: Any = 1.0 / peak  # one for each curve
        scaled = converted(part, units, factor)
        velocity, acceleration = _rates(term, scaled, _BESIDE)
        sign = np.sign(velocity[0])
        slope = sign * (acceleration[1] - acceleration[0]) / (_BESIDE[1] - _BESIDE[0])
        with np.errstate(invalid="ignore", divide="ignore"):
            step = -sign * acceleration[0] / slope * peak
        near &= (slope < 0) & (np.abs(step) < reach)
        peak = np.where(near, peak + step, peak)
        near &= np.abs(peak - middle[at]) < reach
    near &= np.abs(step) < _SETTLED * reach
    found[inside] = np.where(near, peak, np.nan)
    return found


def _own_values(model: TimeModel, term: TimeModel, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Parameters of the term under its own names; a t0 that a sum leaves out is zero."""
    prefix = "" if term is model else term.prefix
    count = next(iter(values.values())).size
    names = (*term.linear, *term.nonlinear)
    return {name: values.get(prefix + name, np.zeros(count)) for name in names}


def _search(term: TimeModel, values: Mapping[str, FloatArray], first: float, last: float) -> FloatArray:
    nodes = first + (last - first) * _NODES
    velocity, acceleration = _rates(term, values, nodes)
    speed = np.abs(velocity)
    best, curve = speed.argmax(axis=0), np.arange(speed.shape[1])
    moves = (speed[best, curve] > 0) & (best < nodes.size - 1)
    peak = nodes[best]
    sign = np.sign(velocity[best, curve])
    # The greatest velocity is where the curve turns from gaining speed (or from rest) to losing it.
    gains = sign * acceleration[best, curve] > 0
    low, high = (
        np.where(gains, best, np.maximum(best - 1, 0)),
        np.where(gains, np.minimum(best + 1, nodes.size - 1), best),
    )
    inside = np.flatnonzero(moves & (nodes[low] >= 0) & (high > low))
    if inside.size:
        part = {name: row[inside] for name, row in values.items()}
        ends = [nodes[low][inside], nodes[high][inside]]
        slopes = [(sign * acceleration[side, curve])[inside] for side in (low, high)]
        peak[inside] = _turn(
            term, part, sign=sign[inside], ends=ends, slopes=slopes, precision=_PRECISION * (last - first)
        )
    return np.where(moves, peak, np.nan)


def _turn(
    term: TimeModel,
    values: Mapping[str, FloatArray],
    *,
    sign: FloatArray,
    ends: list[FloatArray],
    slopes: list[FloatArray],
    precision: float,
) -> FloatArray:
    """Root of the acceleration in a bracket: the Illinois secant where both ends allow it, bisection elsewhere."""
    found = 0.5 * (ends[0] + ends[1])
    active = np.arange(sign.size)
    (low, high), (left, right) = ends, slopes
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            secant = (low * right - high * left) / (right - left)
        usable = (left > 0) & (right < 0) & (secant > low) & (secant < high)
        middle = np.where(usable, secant, 0.5 * (low + high))
        part = {name: row[active] for name, row in values.items()}
        velocity, acceleration = _rates_at(term, part, middle)
        slope = sign[active] * acceleration
        gains = (slope > 0) | (velocity == 0)
        moved = np.abs(middle - found[active])
        found[active] = middle
        # An end that stays twice loses half its weight, so that both close in.
        left, right = np.where(gains, slope, 0.5 * left), np.where(gains, 0.5 * right, slope)
        low, high = np.where(gains, middle, low), np.where(gains, high, middle)
        running = (moved > precision) & (high - low > precision) & (slope != 0)
        running |= (velocity == 0) & (high - low > precision)
        active, low, high, left, right = (row[running] for row in (active, low, high, left, right))
        if active.size == 0:
            break
    return found


def _rates_at(term: TimeModel, values: Mapping[str, FloatArray], time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Velocity and acceleration of each curve at its own time above zero, up to a positive factor.

    A kernel takes one set of times for all curves: time is scaled so that each curve's own is one.
    """
    units = {name: term.units[name] for name in values}
    factor: Any = 1.0 / time  # one for each curve
    velocity, acceleration = _rates(term, converted(values, units, factor), np.ones(1))
    return velocity[0], acceleration[0]


def _rates(term: TimeModel, values: Mapping[str, FloatArray], nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Velocity and acceleration at nodes shared by all curves, (nodes, curves)."""
    columns = term.basis_rates(nodes, {name: values[name] for name in term.nonlinear})
    amplitude = np.stack([values[name] for name in term.linear])
    found = np.empty((2, *columns[0].shape[1:]))
    for column, whole in zip(columns, found, strict=True):
        combine(column, amplitude, whole)
    return found[0], found[1]
