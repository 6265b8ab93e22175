"""When a curve changes its stage, and when it has settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import lmfit
import numpy as np
import numpy.typing as npt
from scipy import optimize

from subsidence.errors import InputError
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel

__all__ = ["Estimate", "stabilisation_time", "stages"]

#: Times at which a peak of the acceleration is sought before it is refined.
_NODES = 400
#: A threshold not reached within so many times the time of the peak is never reached.
_FARTHEST = 2.0**40


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
    values = model.values(params)
    onset = values.get("t0", -np.inf)
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
    misses = _threshold(model, fraction, velocity)
    value = _crossing(model, params, misses)
    covariance, names = getattr(fitted, "covar", None), getattr(fitted, "var_names", None)
    if covariance is None or names is None or not np.isfinite(value):
        return Estimate(value, float("nan"))
    gradient = []
    for name in names:
        step = 1e-4 * (params[name].stderr or abs(params[name].value) or 1.0)
        sides = [_crossing(model, _moved(params, name, sign * step), misses) for sign in (-1, 1)]
        gradient.append((sides[1] - sides[0]) / (2 * step))
    slope = np.array(gradient)
    return Estimate(value, float(np.sqrt(slope @ covariance @ slope)))


def _threshold(
    model: TimeModel, fraction: float | None, velocity: float | None
) -> Callable[[float, Mapping[str, Any]], float]:
    """Function of time and parameters that is positive before the settlement counts as stable."""
    if fraction is not None and velocity is not None:
        msg = f"give fraction or velocity, got both ({fraction:g} and {velocity:g})"
        raise InputError(msg)
    if velocity is not None:
        if not velocity > 0:
            msg = f"velocity must be above zero, got {velocity!r}: it is a threshold of the absolute velocity"
            raise InputError(msg)
        return lambda time, params: abs(float(_settling(model).velocity(time, _own(model, params)))) - velocity
    share = 0.95 if fraction is None else fraction
    if not 0 < share < 1:
        msg = f"fraction must lie between 0 and 1, got {fraction!r}"
        raise InputError(msg)
    if _settling(model).final is None:
        msg = f"{type(model).__name__} has no final settlement of which to reach a fraction: give velocity="
        raise InputError(msg)

    def left(time: float, params: Mapping[str, Any]) -> float:
        final = model.final_settlement(params)
        return float(model.residual_settlement(time, params)) / final - (1 - share) if final else float("nan")

    return left


def _settling(model: TimeModel) -> TimeModel:
    return getattr(model, "settling", None) or model


def _own(model: TimeModel, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters of the term that settles, out of a sum's."""
    prefix = _settling(model).prefix
    return {name: value for name, value in params.items() if name.startswith(prefix)}


def _crossing(
    model: TimeModel, params: Mapping[str, Any], misses: Callable[[float, Mapping[str, Any]], float]
) -> float:
    """Last time at which `misses` changes from positive to negative; it falls after the peak of velocity."""
    peak = model.time_of_peak(params)
    start = peak if np.isfinite(peak) else model.values(params).get("t0", 0.0)
    if np.isnan(misses(start + 1e-12 * (abs(start) or 1.0), params)):
        return float("nan")
    if misses(start, params) <= 0:
        # A curve that is slower than the threshold at its fastest is stable from the beginning; one that has
        # reached the fraction before its peak did so earlier.
        return _backwards(model, params, misses, start)
    step = max(abs(start), 1e-6)
    while misses(start + step, params) > 0:
        step *= 2
        if step > _FARTHEST * max(abs(start), 1.0):
            return float("inf")
    return float(optimize.brentq(lambda time: misses(time, params), start, start + step, xtol=1e-13, rtol=1e-14))


def _backwards(
    model: TimeModel, params: Mapping[str, Any], misses: Callable[[float, Mapping[str, Any]], float], start: float
) -> float:
    onset = model.values(params).get("t0", 0.0)
    if onset >= start or misses(onset, params) <= 0:
        return onset
    return float(optimize.brentq(lambda time: misses(time, params), onset, start))


def _moved(params: Mapping[str, Any], name: str, step: float) -> Mapping[str, Any]:
    """Parameters with one of them a step further; those tied to it follow."""
    if isinstance(params, lmfit.Parameters):
        moved: lmfit.Parameters = params.copy()
        moved[name].set(value=params[name].value + step)
        moved.update_constraints()
        return dict(moved.items())
    return {**params, name: params[name] + step}
