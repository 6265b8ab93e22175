"""What a time function and its hints mean for a fit of many series: roles, values held, bounds, scale of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.models._check import check_hints
from subsidence.models._units import converted, time_power
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Problem", "pose"]

#: What a hint may hold; ``expr`` and ``brute_step`` are lmfit's and mean nothing here.
_KNOWN_HINTS = {"value", "vary", "min", "max", "brute_step"}
#: Range of a logarithm inside the fit: no family overflows there.
_LOGARITHMS = 200.0


@dataclass(frozen=True)
class Problem:
    """
    A time function as the solver sees it.

    Inside a fit time is ``t``, `factor` times the user's, so that a record is of the order of one whatever the
    unit; parameters convert with it. Amplitudes are the offset first, then the columns' coefficients.
    """

    model: TimeModel
    #: epochs in the user's unit, and inside
    time: FloatArray
    t: FloatArray
    factor: float
    #: non-linear parameters: rows that vary, which of these by their logarithm, their bounds inside (2, free)
    free_rows: IntArray
    logarithmic: BoolArray
    bounds: FloatArray
    #: every non-linear parameter inside; NaN for those that vary
    values: FloatArray
    #: amplitude that multiplies the derivative by each free non-linear parameter
    owner: IntArray
    #: amplitudes, offset first: which are held, and bounds (2, amplitudes), equal to the value where held
    held: BoolArray
    amplitude_bounds: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters without prefix, in the order of the results."""
        return tuple(self.model.units)

    @property
    def offset_free(self) -> bool:
        """Is the level of the series its own: then they are centred, which costs no digits."""
        return bool(not self.held[0] and np.isinf(self.amplitude_bounds[:, 0]).all())

    @property
    def free(self) -> BoolArray:
        """Which parameters are estimated, in the order of the results."""
        shapes = np.zeros(len(self.model.nonlinear), bool)
        shapes[self.free_rows] = True
        return np.concatenate([~self.held[1:], shapes, ~self.held[:1]])

    def inside(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of the user as the solver has them."""
        units = {name: self.model.units[name] for name in values}
        return converted(values, units, self.factor)

    def outside(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of the solver in the user's unit of time."""
        return converted(values, {name: self.model.units[name] for name in values}, 1.0 / self.factor)


def pose(model: TimeModel, time: FloatArray) -> Problem:
    """
    Problem of fitting `model` to series with epochs at `time`, in the model's unit.

    Raises
    ------
    InputError
        When a hint is of no parameter, ties parameters together, or holds what cannot be.
    """
    hints = _checked_hints(model)
    held = model.held()
    for name, hint in hints.items():
        if hint.get("vary") is False and name not in held:
            msg = f"the hint of {name!r} must have a value to stay at: set_param_hint({name!r}, value=..., vary=False)"
            raise InputError(msg)
    ranges = {name: _range(name, hints.get(name, {})) for name in model.units}
    factor = _factor(model, time, held, ranges)
    # Powers of units may name a parameter that varies; such units were not scaled.
    inside = converted(held, {name: model.units[name] for name in held}, factor) if factor != 1.0 else held
    shapes = model.nonlinear
    free_rows = np.array([row for row, name in enumerate(shapes) if name not in held], np.int64)
    free_names = [shapes[row] for row in free_rows]
    logarithmic = np.array([name in model.positive for name in free_names], bool)
    bounds = np.array([_inside_bounds(model, name, ranges[name], factor) for name in free_names]).reshape(-1, 2).T
    owner = model.owner or (0,) * len(shapes)
    amplitudes = ("offset", *model.linear)
    limits = []
    for name in amplitudes:
        if name in held:
            limits.append((inside[name], inside[name]))
        else:
            scale = factor ** time_power(model.units[name], held)
            limits.append((ranges[name][0] * scale, ranges[name][1] * scale))
    return Problem(
        model=model,
        time=time,
        t=time * factor,
        factor=factor,
        free_rows=free_rows,
        logarithmic=logarithmic,
        bounds=np.ascontiguousarray(bounds, np.float64),
        values=np.array([inside.get(name, np.nan) for name in shapes], np.float64),
        owner=np.array([1 + owner[row] for row in free_rows], np.int64),
        held=np.array([name in held for name in amplitudes]),
        amplitude_bounds=np.ascontiguousarray(np.array(limits, np.float64).T),
    )


def _checked_hints(model: TimeModel) -> dict[str, dict[str, Any]]:
    hints: dict[str, dict[str, Any]] = {name: dict(hint) for name, hint in model.param_hints.items()}
    check_hints(model)
    for name, hint in hints.items():
        if hint.get("expr") is not None:
            msg = (
                f"the hint of {name!r} ties it to others (expr={hint['expr']!r}), which a fit of many series cannot: "
                "remove expr, or fit each series by model.fit"
            )
            raise InputError(msg)
        for key in ("value", "min", "max"):
            if key in hint and hint[key] is not None and not isinstance(hint[key], (int, float, np.number)):
                msg = f"the hint of {name!r} must have a number as {key}, got {hint[key]!r}"
                raise InputError(msg)
    return hints


def _range(name: str, hint: Mapping[str, Any]) -> tuple[float, float]:
    low = -np.inf if hint.get("min") is None else float(hint["min"])
    high = np.inf if hint.get("max") is None else float(hint["max"])
    if not low < high:
        msg = f"the hint of {name!r} must have min below max, got {low:g} and {high:g}"
        raise InputError(msg)
    return low, high


def _factor(
    model: TimeModel, time: FloatArray, held: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]
) -> float:
    """
    What the user's time is multiplied by.

    One, where a parameter whose unit has another parameter as its power is held or bounded: inside, it would
    depend on that other one.
    """
    for name, unit in model.units.items():
        power = unit.partition("**")[2].removeprefix("-")
        if power in model.units and (name in held or np.isfinite(ranges[name]).any()):
            return 1.0
    size = np.abs(time)
    middle = float(np.median(size[size > 0])) if (size > 0).any() else 1.0
    return 1.0 / middle


def _inside_bounds(model: TimeModel, name: str, limits: tuple[float, float], factor: float) -> tuple[float, float]:
    unit = model.units[name]
    power = unit.partition("**")[2].removeprefix("-")
    scale = 1.0 if power in model.units else factor ** float(time_power(unit, {}))
    low, high = limits[0] * scale, limits[1] * scale
    if name not in model.positive:
        return low, high
    if high <= 0:
        msg = f"the hint of {name!r} must have max above zero, got {limits[1]:g}"
        raise InputError(msg)
    return (
        max(np.log(low), -_LOGARITHMS) if low > 0 else -_LOGARITHMS,
        min(np.log(high), _LOGARITHMS),
    )
