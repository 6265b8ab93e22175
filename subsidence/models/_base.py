"""What every time function shares: its unit of time, a start found from the data, an lmfit fit.

A family gives its function, its velocity, its parameters' units and bounds, and candidates for the
parameters that enter non-linearly. Amplitude and offset enter linearly, so the best ones for each
candidate follow from least squares, and the best candidate is the start (variable projection on a grid).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import lmfit
import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.timescale import TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["TimeModel"]


class TimeModel(lmfit.Model, ABC):  # type: ignore[misc]  # lmfit has no types
    """
    A settlement curve w(t) as an :class:`lmfit.Model` with the independent variable ``t``.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta. Parameters that hold a
        time are in it; data are in any unit, which amplitude and offset then have.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them, "propagate" is lmfit's third choice.

    Raises
    ------
    InputError
        When `time_unit` is unknown.
    """

    #: ``w(t, **parameters)``.
    function: ClassVar[Callable[..., FloatArray]]
    #: ``dw/dt(t, **parameters)``.
    derivative: ClassVar[Callable[..., FloatArray]]
    #: Name of the parameter that multiplies the curve.
    amplitude: ClassVar[str] = "w_m"
    #: Unit of each parameter; "data" and "time" stand for the units of the data and of time.
    units: ClassVar[Mapping[str, str]]
    #: Range of each parameter that has one.
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {}
    #: Parameters that stay at a value unless they are freed.
    fixed: ClassVar[Mapping[str, float]] = {}

    def __init__(self, time_unit: TimeUnit = "year", *, prefix: str = "", nan_policy: str = "omit") -> None:
        days = unit_days(time_unit)
        self.time_unit = time_unit
        words = time_unit if isinstance(time_unit, str) else f"{days:g} days"
        super().__init__(
            type(self).function,
            independent_vars=["t"],
            prefix=prefix,
            nan_policy=nan_policy,
            name=f"{type(self).__name__}, time in {words}",
        )
        for name, (low, high) in self.bounds.items():
            self.set_param_hint(name, min=low, max=high)
        for name, value in self.fixed.items():
            self.set_param_hint(name, value=value, vary=False)

    def guess(
        self, data: npt.ArrayLike, t: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, **values: float
    ) -> lmfit.Parameters:
        """
        Parameters to start a fit from.

        Parameters
        ----------
        data
            Settlement or displacement of either sign; NaN is left out.
        t
            Time since the onset or since any other origin, in the model's unit of time.
        weights
            One over the standard deviation of each value of `data`.
        **values
            Parameters to hold at a value while the others are sought.

        Returns
        -------
        lmfit.Parameters
            With the model's bounds; parameters that the model fixes stay fixed.

        Raises
        ------
        InputError
            When `data` and `t` do not go together or hold too few values.
        """
        y, time, weight = self._checked(data, t, weights)
        params = self.make_params(**values)
        names = [name.removeprefix(self.prefix) for name in self.param_names]
        held = {name: params[self.prefix + name].value for name in names if not params[self.prefix + name].vary}
        held |= {name.removeprefix(self.prefix): float(value) for name, value in values.items()}
        linear = [name for name in (self.amplitude, "offset") if name not in held]
        candidates = self._candidates(time, held)
        shape = {name: values[:, np.newaxis] for name, values in candidates.items()}
        unit = type(self).function(time, **{**shape, self.amplitude: 1.0, "offset": 0.0})
        best, coefficients = _project(unit, y, weight, held.get(self.amplitude), held.get("offset"))
        start = {name: float(column[best]) for name, column in candidates.items()}
        start |= {name: coefficients[name == "offset"] for name in linear}
        for name, value in start.items():
            parameter = params[self.prefix + name]
            parameter.set(value=float(np.clip(value, parameter.min, parameter.max)))
        return params

    def fit(
        self,
        data: npt.ArrayLike,
        params: lmfit.Parameters | None = None,
        weights: npt.ArrayLike | None = None,
        **kwargs: Any,
    ) -> lmfit.model.ModelResult:
        """
        Fit the curve to a series.

        Parameters
        ----------
        data
            Settlement or displacement of either sign; NaN is left out.
        params
            Start, bounds and fixed parameters; :meth:`guess` finds them when None.
        weights
            One over the standard deviation of each value of `data`.
        **kwargs
            ``t``, values of single parameters, and lmfit's other options (:meth:`lmfit.Model.fit`).

        Returns
        -------
        lmfit.model.ModelResult
            ``fit_report()``, ``conf_interval()``, ``eval(t=...)`` and ``eval_uncertainty(t=...)`` are lmfit's;
            the last is NaN where the fit found no standard errors.

        Raises
        ------
        InputError
            When ``t`` is missing or holds dates, `data` and ``t`` do not go together, or a weight is negative
            or not finite where there are data.
        """
        if "t" not in kwargs:
            msg = "fit needs t, the time of each value of data: model.fit(data, t=t)"
            raise InputError(msg)
        t = kwargs.pop("t")
        self._checked(data, t, weights)
        if params is None:
            given = {name: kwargs[name] for name in self.param_names if name in kwargs}
            values = {name: getattr(value, "value", value) for name, value in given.items()}
            params = self.guess(data, t, weights=weights, **values)
        if weights is not None:
            weights = np.broadcast_to(np.asarray(weights, np.float64), np.shape(data))
        series, time = np.asarray(data, np.float64), np.asarray(t, np.float64)
        result = super().fit(series, params, weights=weights, t=time, **kwargs)
        result.__class__ = _Result  # lmfit names the class of its results in the body of fit
        return result

    def velocity(self, t: npt.ArrayLike, params: Mapping[str, Any]) -> FloatArray:
        """
        Rate of the curve, dw/dt, in units of the data per unit of time.

        Parameters
        ----------
        t
            Time in the model's unit.
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.
        """
        return type(self).derivative(np.asarray(t, np.float64), **self._values(params))

    @property
    def parameter_units(self) -> dict[str, str]:
        """Unit of each parameter, "data" standing for the unit of what is fitted."""
        unit = self.time_unit if isinstance(self.time_unit, str) else f"({unit_days(self.time_unit):g} day)"
        return {self.prefix + name: text.replace("time", unit) for name, text in self.units.items()}

    @abstractmethod
    def _candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try for every parameter but amplitude and offset; `held` ones at their value."""

    def _values(self, params: Mapping[str, Any]) -> dict[str, float]:
        given = {name.removeprefix(self.prefix): getattr(value, "value", value) for name, value in params.items()}
        given = {**self.fixed, "offset": 0.0, **given}
        missing = [name for name in self.units if name not in given]
        if missing:
            msg = f"params must hold {', '.join(self.units)}, got {', '.join(params)}: {', '.join(missing)} missing"
            raise InputError(msg)
        return {name: float(given[name]) for name in self.units}

    def _checked(
        self, data: npt.ArrayLike, t: npt.ArrayLike, weights: npt.ArrayLike | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Finite values, their times and weights, or an error that says what does not go together."""
        time = np.asarray(t)
        if time.dtype.kind in "Mm":
            msg = (
                "t must be numbers in the model's unit of time, got dates: use to_elapsed(dates, unit=model.time_unit)"
            )
            raise InputError(msg)
        values, time = np.asarray(data, np.float64), time.astype(np.float64)
        if values.ndim != 1 or values.shape != time.shape:
            msg = f"data and t must be one series of one length, got shapes {values.shape} and {time.shape}"
            raise InputError(msg)
        if not np.isfinite(time).all():
            msg = "t must be finite, got NaN or infinity"
            raise InputError(msg)
        weight = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
        if weight.ndim and weight.shape != values.shape:
            msg = f"weights must be one number or have the shape of data {values.shape}, got {weight.shape}"
            raise InputError(msg)
        valid = np.isfinite(values)
        weight = np.broadcast_to(weight, values.shape)[valid]
        _check_weights(weight)
        count, needed = np.count_nonzero(weight), len(self.units) - len(self.fixed)
        if count <= needed:
            msg = f"data must hold more than {needed} finite values of non-zero weight, got {count}"
            raise InputError(msg)
        return values[valid], time[valid], weight


class _Result(lmfit.model.ModelResult):  # type: ignore[misc]  # lmfit has no types
    """lmfit's result, whose band of uncertainty is not of width zero where nothing is known about it."""

    def eval_uncertainty(
        self, params: lmfit.Parameters | None = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any
    ) -> FloatArray:
        """As lmfit's; NaN where a parameter has no standard error, for which lmfit gives 0."""
        used = self.params if params is None else params
        if any(parameter.stderr is None for parameter in used.values()):
            return np.full_like(self.eval(params, **kwargs), np.nan)
        band: FloatArray = super().eval_uncertainty(params, sigma, dscale, **kwargs)
        return band


def _check_weights(weight: FloatArray) -> None:
    """Refuse weights of valid data that no standard deviation gives; those of missing data are not used."""
    refused = ~(np.isfinite(weight) & (weight >= 0))
    if not refused.any():
        return
    first = weight[refused][0]
    cause = "a standard deviation of 0, as a series has at its first epoch, gives inf; " if np.isposinf(first) else ""
    msg = (
        "weights must be finite and not negative (one over the standard deviation), "
        f"got {first:g} at {np.count_nonzero(refused)} of {weight.size} values of data: "
        f"{cause}set data to NaN there, as in displacement.where(displacement_std > 0)"
    )
    raise InputError(msg)


def _project(
    unit: FloatArray, y: FloatArray, weight: FloatArray, amplitude: float | None, offset: float | None
) -> tuple[int, tuple[float, float]]:
    """Best row of `unit` for ``offset + amplitude * row`` in weighted least squares, with its coefficients."""
    w = weight**2
    if offset is None:  # centred sums eliminate the offset
        shift, level = (unit @ w / w.sum())[:, np.newaxis], w @ y / w.sum()
    else:
        shift, level = np.zeros((len(unit), 1)), offset
    row, rest = unit - shift, y - level
    power = row**2 @ w
    if amplitude is None:
        scale = np.divide(row @ (w * rest), power, out=np.zeros(len(unit)), where=power > 0)
    else:
        scale = np.full(len(unit), amplitude)
    misfit = ((rest - scale[:, np.newaxis] * row) ** 2) @ w
    best = int(np.argmin(misfit))
    return best, (float(scale[best]), float(level - scale[best] * shift[best, 0]))
