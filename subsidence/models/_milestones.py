"""When a curve changes its stage, and when it has settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize

from subsidence.errors import InputError
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel

__all__ = ["Criterion", "Estimate", "crossing", "settling_term", "stabilisation_time", "stages"]

#: Times at which a peak of the acceleration is sought before it is refined.
_NODES = 400
#: Nodes of one pass of the search for a time, which narrows it by as many.
_NODES_OF_A_SEARCH = 64
#: Powers of two, times the time from onset to peak (or the unit of time where these are one), at which a bracket
#: of the time is sought: what is not reached by the last of them is never reached.
_POWERS = np.arange(-40, 60, 0.25)


class Estimate(NamedTuple):
    """A number and its standard deviation, NaN where that is not known."""

    value: float
    std: float


def stages(model: TimeModel, t: FloatArray, params: Mapping[str, Any]) -> npt.NDArray[np.str_]:
    """See :meth:`TimeModel.stages`."""
    peak = model.time_of_peak(params)
    if not np.isfinite(peak):
        msg = f"stages need a curve with a peak of velocity, {type(model).__name__} has none with these parameters"
        raise InputError(msg)
    rise = _time_of_peak_acceleration(model, peak, params)
    return np.where(t < rise, "initial", np.where(t < peak, "accelerating", "stable"))


def _time_of_peak_acceleration(model: TimeModel, peak: float, params: Mapping[str, Any]) -> float:
    """Where the acceleration is greatest before the peak of velocity; the onset when it only falls."""
    sign = np.sign(model.final_settlement(params)) or 1.0
    term = settling_term(model)
    values = model.values(params)
    # A t0 that is a constant is an origin of time and no onset: such a curve is on the whole axis.
    onset = -np.inf if "t0" in term.constants else values.get(term.prefix * (term is not model) + "t0", -np.inf)
    # Curves without onset rise from minus infinity: the width of their peak says how far to look back.
    width = abs(model.final_settlement(params) / model.peak_velocity(params))
    first = max(onset, peak - 10.0 * width)
    nodes = np.linspace(first, peak, _NODES + 1)[1:-1]
    if nodes.size == 0 or first >= peak:
        return peak
    top = int(np.argmax(sign * model.acceleration(nodes, params)))
    if top == 0 and first == onset:
        return onset
    low, high = nodes[max(top - 1, 0)], nodes[min(top + 1, nodes.size - 1)]
    found = optimize.minimize_scalar(
        lambda time: -sign * float(model.acceleration(time, params)), bounds=(low, high), method="bounded"
    )
    return float(found.x)


def stabilisation_time(model: TimeModel, fitted: Any, *, fraction: float | None, velocity: float | None) -> Estimate:
    """See :meth:`TimeModel.stabilisation_time`."""
    params = getattr(fitted, "params", fitted)
    term = settling_term(model)
    criterion = Criterion.checked(term, fraction, velocity)
    own = {name.removeprefix(term.prefix): value for name, value in params.items() if name.startswith(term.prefix)}
    value, gradient = crossing(
        term, term.values({term.prefix + name: number for name, number in own.items()}), criterion
    )
    covariance, names = getattr(fitted, "covar", None), getattr(fitted, "var_names", None)
    if covariance is None or names is None or not np.isfinite(value):
        return Estimate(value, float("nan"))
    slope = _slope_of_varied(params, names, {term.prefix + name: number for name, number in gradient.items()})
    return Estimate(value, float(np.sqrt(slope @ covariance @ slope)))


@dataclass(frozen=True)
class Criterion:
    """When a settlement counts as stable: a share of it reached, or slower than a velocity for good."""

    fraction: float | None
    velocity: float | None

    @classmethod
    def checked(cls, term: TimeModel, fraction: float | None, velocity: float | None) -> Criterion:
        """Check what the caller gave; 95 % when that is nothing."""
        if fraction is not None and velocity is not None:
            msg = f"give fraction or velocity, got both ({fraction:g} and {velocity:g})"
            raise InputError(msg)
        if velocity is not None:
            if not 0 < velocity < np.inf:
                msg = f"velocity must be above zero, got {velocity!r}: it is a threshold of the absolute velocity"
                raise InputError(msg)
            return cls(None, float(velocity))
        share = 0.95 if fraction is None else fraction
        if not 0 < share < 1:
            msg = f"fraction must lie between 0 and 1, got {fraction!r}"
            raise InputError(msg)
        if term.final is None:
            msg = f"{type(term).__name__} has no final settlement of which to reach a fraction: give velocity="
            raise InputError(msg)
        return cls(float(share), None)

    def misses(self, term: TimeModel, values: Mapping[str, float], t: FloatArray) -> FloatArray:
        """Positive while the settlement is not stable yet."""
        if self.fraction is not None:
            return self.fraction - term.basis(t, values)[0][0, :, 0]
        return np.abs(_velocity(term, values, t)) - self.velocity


def settling_term(model: TimeModel) -> TimeModel:
    """The term of a sum that settles; a model that is no sum itself."""
    term: TimeModel = getattr(model, "settling", None) or model
    return term


def crossing(term: TimeModel, values: Mapping[str, float], criterion: Criterion) -> tuple[float, dict[str, float]]:
    """
    Time from which a settlement is stable, and its derivatives by the parameters.

    `values` are by name without prefix. NaN when nothing settles, infinite when that time never comes.
    """
    nothing = dict.fromkeys(term.units, 0.0)
    params = {term.prefix + name: value for name, value in values.items()}
    peak = term.time_of_peak(params)
    onset = values.get("t0", 0.0)
    if not any(values[name] for name in term.linear):
        return float("nan"), nothing
    start = peak if np.isfinite(peak) else onset
    first = float(criterion.misses(term, values, np.array([start]))[0])
    if np.isnan(first):
        return float("nan"), nothing
    if first <= 0:
        if criterion.velocity is not None:  # slower than the threshold at its fastest
            return onset, nothing
        low, high = _before(term, values, criterion, start)
    else:
        low, high = _after(term, values, criterion, start)
    if not np.isfinite(high) or low == high:
        return high, nothing
    while high - low > 1e-12 * max(abs(low), abs(high), 1e-300):
        nodes = np.linspace(low, high, _NODES_OF_A_SEARCH)
        past = criterion.misses(term, values, nodes) <= 0
        at = max(int(np.argmax(past)), 1)
        if nodes[at] - nodes[at - 1] >= high - low:
            break
        low, high = float(nodes[at - 1]), float(nodes[at])
    time = 0.5 * (low + high)
    return time, _derivatives(term, values, criterion, time)


def _after(term: TimeModel, values: Mapping[str, float], criterion: Criterion, start: float) -> tuple[float, float]:
    """Bracket of the crossing after `start`, by steps that double."""
    distance = (abs(start - values.get("t0", 0.0)) or 1.0) * 2.0**_POWERS
    # A curve of two segments may be fast a second time: what counts is the last time that it is.
    still = np.flatnonzero(criterion.misses(term, values, start + distance) > 0)
    at = int(still[-1]) + 1 if still.size else 0
    if at == distance.size:
        return start, float("inf")
    return start + (distance[at - 1] if at else 0.0), start + distance[at]


def _before(term: TimeModel, values: Mapping[str, float], criterion: Criterion, start: float) -> tuple[float, float]:
    """Bracket of a fraction that is reached before the velocity peaks."""
    onset = values.get("t0", 0.0)
    distance = (abs(start - onset) or 1.0) * 2.0**_POWERS
    open_still = criterion.misses(term, values, start - distance) > 0
    if not open_still.any():
        return onset, onset
    at = int(np.argmax(open_still))
    return start - distance[at], start - (distance[at - 1] if at else 0.0)


def _derivatives(term: TimeModel, values: Mapping[str, float], criterion: Criterion, time: float) -> dict[str, float]:
    """By implicit differentiation of what `criterion` misses."""
    amplitudes = np.array([values[name] for name in term.linear])
    owner = term.owner or (0,) * len(term.nonlinear)
    free = [row for row, name in enumerate(term.nonlinear) if name not in term.constants]
    result = dict.fromkeys(term.units, 0.0)
    velocity, acceleration = (rate[:, 0, 0] for rate in term.basis_rates(np.array([time]), values))
    if criterion.fraction is not None:
        gradient = term.basis(np.array([time]), values)[1][:, 0, 0]
        slope = velocity[0]
        by = {term.nonlinear[row]: gradient[row] for row in free}
    else:
        step = 1e-5 * max(abs(time - values.get("t0", 0.0)), 1e-9)
        sides = term.basis(np.array([time - step, time + step]), values)[1][:, :, 0]
        change = (sides[:, 1] - sides[:, 0]) / (2 * step)
        slope = float(amplitudes @ acceleration)
        by = {term.nonlinear[row]: amplitudes[owner[row]] * change[row] for row in free}
        by |= dict(zip(term.linear, velocity, strict=True))
    for name, value in by.items():
        result[name] = float(-value / slope)
    return result


def _velocity(term: TimeModel, values: Mapping[str, float], t: FloatArray) -> FloatArray:
    amplitudes = np.array([values[name] for name in term.linear])
    result: FloatArray = np.tensordot(amplitudes, term.basis_rates(t, values)[0][..., 0], 1)
    return result


def _slope_of_varied(params: Any, names: Sequence[str], gradient: Mapping[str, float]) -> FloatArray:
    """Derivatives by the parameters that were varied; those tied to one of them move with it."""
    tied = [name for name in gradient if getattr(params[name], "expr", None)] if hasattr(params, "copy") else []
    slope = np.array([gradient.get(name, 0.0) for name in names])
    for column, name in enumerate(names if tied else ()):
        moved = params.copy()
        step = 1e-6 * (abs(params[name].value) or 1.0)
        moved[name].set(value=params[name].value + step)
        moved.update_constraints()
        slope[column] += sum(gradient[other] * (moved[other].value - params[other].value) / step for other in tied)
    return slope
