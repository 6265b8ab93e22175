"""What every time function shares: its basis, its unit of time, a start found from the data, an lmfit fit.

A settlement curve is ``offset + sum of linear * column(t; nonlinear)``: amplitudes enter linearly, the shape
does not. A family gives a kernel that fills its columns and their derivatives by the non-linear parameters for
many curves at once, one that fills the derivatives in time, and candidates for the non-linear parameters.
From these come lmfit's function, the start of a fit (the amplitudes that are best for each candidate follow
from least squares: variable projection on a grid) and everything that is done to many series at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.models import _milestones
from subsidence.models._check import check_hints, checked_series
from subsidence.models._function import CurveFunction
from subsidence.models._milestones import Estimate
from subsidence.models._result import Result
from subsidence.models._start import best_candidate, inside_bounds
from subsidence.models._units import converted
from subsidence.timescale import TimeUnit, unit_days
from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._sum import SumModel

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

    Notes
    -----
    Models add up: ``Weibull() + Seasonal()`` is a TimeModel with the parameters of both and one ``offset``.

    A family of your own is a subclass that gives `nonlinear`, `units`, `curve`, `rates` and `candidates`
    (`linear`, `positive`, `bounds`, `fixed` and `constants` as needed); ``subsidence.fit_map`` and all else
    then work with it. Its docstring has equation and source.
    """

    #: Parameters that multiply a column each, in the order of the columns.
    linear: tuple[str, ...] = ("w_m",)
    #: Parameters that shape the columns, in the order of the rows of `p`.
    nonlinear: tuple[str, ...]
    #: Column that each non-linear parameter shapes; the first when not given.
    owner: tuple[int, ...] | None = None
    #: ``curve(t, p, columns, gradient)`` fills ``columns`` (linear, times, curves) and their derivatives
    #: ``gradient`` (nonlinear, times, curves) at the times ``t`` for the columns of ``p`` (nonlinear, curves).
    #: Whatever the parameters, it fills in finite numbers.
    curve: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], None]
    #: ``rates(t, p, velocity, acceleration)``: first and second derivative in time, both (linear, times, curves).
    rates: Callable[[FloatArray, FloatArray, FloatArray, FloatArray], None]
    #: Unit of each parameter; "data" and "time" stand for the units of the data and of time.
    units: Mapping[str, str]
    #: Non-linear parameters that are above zero: their logarithm is what a fit of many series varies.
    positive: frozenset[str] = frozenset()
    #: Range of each parameter that has one.
    bounds: Mapping[str, tuple[float, float]] = {}
    #: Parameters that stay at a value unless they are freed.
    fixed: Mapping[str, float] = {}
    #: Those of `fixed` that no fit can free: they stand last in `nonlinear`, and `gradient` has no rows for them.
    constants: frozenset[str] = frozenset()
    #: Parameter that is the final settlement; None for a curve without one.
    final: str | None = None

    def __init__(self, time_unit: TimeUnit = "year", *, prefix: str = "", nan_policy: str = "omit") -> None:
        days = unit_days(time_unit)
        self.time_unit = time_unit
        words = time_unit if isinstance(time_unit, str) else f"{days:g} days"
        super().__init__(
            CurveFunction(self),
            independent_vars=["t"],
            prefix=prefix,
            nan_policy=nan_policy,
            name=f"{self._title()}, time in {words}",
        )
        for name, (low, high) in self.bounds.items():
            self.set_param_hint(name, min=low, max=high)
        for name, value in self.fixed.items():
            self.set_param_hint(name, value=value, vary=False)

    def __add__(self, other: Any) -> SumModel:
        """Sum of curves with one offset; see the notes of the class."""
        from subsidence.models._sum import SumModel  # noqa: PLC0415  # it is made of these

        return SumModel(self, other)

    # What a family is to whoever fits it

    def basis(self, t: npt.ArrayLike, nonlinear: Mapping[str, npt.ArrayLike]) -> tuple[FloatArray, FloatArray]:
        """
        Columns of many curves and their derivatives by the non-linear parameters.

        Parameters
        ----------
        t
            Times, of shape (times,), in the model's unit.
        nonlinear
            Values of each non-linear parameter, one number or of shape (curves,), by name without prefix.

        Returns
        -------
        columns, gradient : numpy.ndarray
            Of shapes (linear, times, curves) and (nonlinear, times, curves); row k of `gradient` is the
            derivative of column ``owner[k]``; rows of `constants`, which stand last, mean nothing.
        """
        time = np.ascontiguousarray(t, np.float64)
        p = self.rows(nonlinear)
        columns = np.empty((len(self.linear), time.size, p.shape[1]))
        gradient = np.empty((len(self.nonlinear), time.size, p.shape[1]))
        self.curve(time, p, columns, gradient)
        return columns, gradient

    def basis_rates(self, t: npt.ArrayLike, nonlinear: Mapping[str, npt.ArrayLike]) -> tuple[FloatArray, FloatArray]:
        """First and second derivative in time of each column, both of shape (linear, times, curves)."""
        time = np.ascontiguousarray(t, np.float64)
        p = self.rows(nonlinear)
        velocity = np.empty((len(self.linear), time.size, p.shape[1]))
        acceleration = np.empty_like(velocity)
        self.rates(time, p, velocity, acceleration)
        return velocity, acceleration

    def rows(self, nonlinear: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Non-linear parameters by name as the array that `curve` takes, (nonlinear, curves)."""
        given = [np.atleast_1d(np.asarray(nonlinear[name], np.float64)) for name in self.nonlinear]
        p = np.empty((len(given), max((row.size for row in given), default=1)))
        for row, values in zip(p, given, strict=True):
            row[:] = values
        return p

    @abstractmethod
    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try for every non-linear parameter; `held` ones stay at their value."""

    def values(self, params: Mapping[str, Any]) -> dict[str, float]:
        """
        Numbers of every parameter, by name without prefix.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers. `offset` and parameters that
            are fixed by default may be missing.

        Raises
        ------
        InputError
            When another parameter is missing.
        """
        given = {name.removeprefix(self.prefix): getattr(value, "value", value) for name, value in params.items()}
        given = {**self.fixed, **self.held(), "offset": 0.0, **given}
        missing = [name for name in self.units if name not in given]
        if missing:
            msg = f"params must hold {', '.join(self.units)}, got {', '.join(params)}: {', '.join(missing)} missing"
            raise InputError(msg)
        return {name: float(given[name]) for name in self.units}

    def held(self) -> dict[str, float]:
        """Parameters that stay at a value, by name without prefix: `fixed`, and what hints fix besides."""
        hints = {name: hint for name, hint in self.param_hints.items() if "vary" in hint}
        stay = {name: float(hint["value"]) for name, hint in hints.items() if not hint["vary"] and "value" in hint}
        return {name: value for name, value in self.fixed.items() if name not in hints} | stay

    # One series

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
            When `data` and `t` do not go together, hold too few values, or a name is not a parameter.
        """
        self._check_names(values)
        check_hints(self)
        y, time, weight = checked_series(data, t, weights, needed=len(self.units) - len(self.held()))
        params = self.make_params(**values)
        self._check_constants(params)
        names = [name.removeprefix(self.prefix) for name in self.param_names]
        held = {name: params[self.prefix + name].value for name in names if not params[self.prefix + name].vary}
        held |= {name.removeprefix(self.prefix): float(value) for name, value in values.items()}
        bounds = {name: (params[self.prefix + name].min, params[self.prefix + name].max) for name in names}
        for name, value in best_candidate(self, y, time, weight, held, bounds).items():
            params[self.prefix + name].set(value=value)
        return inside_bounds(params, scale=float(np.ptp(y)) or 1.0)

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
        checked_series(data, t, weights, needed=len(self.units) - len(self.held()))
        if params is None:
            given = {name: kwargs[name] for name in self.param_names if name in kwargs}
            values = {name: getattr(value, "value", value) for name, value in given.items()}
            params = self.guess(data, t, weights=weights, **values)
        self._check_constants(params)
        params = inside_bounds(params, scale=float(np.nanmax(np.abs(data))) or 1.0)
        if weights is not None:
            weights = np.broadcast_to(np.asarray(weights, np.float64), np.shape(data))
        series, time = np.asarray(data, np.float64), np.asarray(t, np.float64)
        result = super().fit(series, params, weights=weights, t=time, **kwargs)
        result.__class__ = Result  # lmfit names the class of its results in the body of fit
        return result

    # What a curve says

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
        return self._combined(self.basis_rates(np.ravel(t), self.values(params))[0], t, params)

    def acceleration(self, t: npt.ArrayLike, params: Mapping[str, Any]) -> FloatArray:
        """
        Second derivative of the curve, in units of the data per unit of time squared.

        Parameters
        ----------
        t
            Time in the model's unit.
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.
        """
        return self._combined(self.basis_rates(np.ravel(t), self.values(params))[1], t, params)

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity; NaN for a curve that has none."""
        del params
        return float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, with the sign of the settlement; NaN for a curve that has none."""
        peak = self.time_of_peak(params)
        return float(self.velocity(peak, params)) if np.isfinite(peak) else float("nan")

    def final_settlement(self, params: Mapping[str, Any]) -> float:
        """Settlement after infinite time, above `offset`; NaN for a curve that never ends."""
        return float("nan") if self.final is None else self.values(params)[self.final]

    def residual_settlement(self, t: npt.ArrayLike, params: Mapping[str, Any]) -> FloatArray:
        """
        Settlement still to come after `t`, in the unit and with the sign of the data.

        Parameters
        ----------
        t
            Time in the model's unit.
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.
        """
        columns = self.basis(np.ravel(t), self.values(params))[0]
        result: FloatArray = self.final_settlement(params) - self._combined(columns, t, params)
        return result

    def stages(self, t: npt.ArrayLike, params: Mapping[str, Any]) -> npt.NDArray[np.str_]:
        """
        Stage of the settlement at each time: "initial", "accelerating" or "stable".

        Parameters
        ----------
        t
            Time in the model's unit.
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Notes
        -----
        As Wei et al. (2024) divide a curve: *initial* until its acceleration is greatest, *accelerating* from
        there to the time of the greatest velocity, *stable* after it, while the velocity decays to zero.
        """
        return _milestones.stages(self, np.asarray(t, np.float64), params)

    def stabilisation_time(
        self, fitted: Any, *, fraction: float | None = None, velocity: float | None = None
    ) -> Estimate:
        """
        Time after which a fraction of the settlement is reached, or the velocity stays below a threshold.

        Parameters
        ----------
        fitted
            An lmfit result, whose covariance gives the standard deviation, or parameters.
        fraction
            Share of the final settlement, between 0 and 1; 0.95 when neither is given.
        velocity
            Threshold of the absolute velocity, in units of the data per unit of time.

        Returns
        -------
        Estimate
            ``value`` in the model's unit of time and ``std``, its standard deviation to first order; NaN where
            it is not known, infinite ``value`` where the velocity never falls below the threshold.

        Raises
        ------
        InputError
            When both are given, `fraction` is not between 0 and 1, `velocity` is not above zero, or a fraction
            is asked of a curve without a final settlement.
        """
        return _milestones.stabilisation_time(self, fitted, fraction=fraction, velocity=velocity)

    # Units

    def with_unit(self, time_unit: TimeUnit) -> TimeModel:
        """Return the same family with another unit of time; hints of parameters are not carried over."""
        return type(self)(time_unit, prefix=self.prefix, nan_policy=self.nan_policy, **self.options())

    def convert(self, params: Mapping[str, Any], time_unit: TimeUnit) -> dict[str, float]:
        """
        Numbers that give the same curve when time is in another unit.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers, in this model's unit.
        time_unit
            The unit wanted.

        Returns
        -------
        dict
            Values by name with prefix, for ``model.with_unit(time_unit)``.
        """
        factor = unit_days(self.time_unit) / unit_days(time_unit)
        found = converted(self.values(params), self.units, factor)
        return {self.prefix + name: float(value) for name, value in found.items()}

    def options(self) -> dict[str, Any]:
        """What else the constructor was given, by keyword: texts, numbers and lists of them."""
        return {}

    @property
    def parameter_units(self) -> dict[str, str]:
        """Unit of each parameter, "data" standing for the unit of what is fitted."""
        unit = self.time_unit if isinstance(self.time_unit, str) else f"({unit_days(self.time_unit):g} day)"
        return {self.prefix + name: text.replace("time", unit) for name, text in self.units.items()}

    # Helpers

    def _title(self) -> str:
        return type(self).__name__

    def _check_names(self, values: Mapping[str, Any]) -> None:
        unknown = [name for name in values if name not in self.param_names]
        if unknown:
            msg = f"{', '.join(map(repr, unknown))} is no parameter: this model has {', '.join(self.param_names)}"
            raise InputError(msg)

    def _check_constants(self, params: lmfit.Parameters) -> None:
        freed = [self.prefix + name for name in self.constants if params[self.prefix + name].vary]
        if freed:
            msg = f"{', '.join(sorted(freed))} cannot be estimated: give a value, set_param_hint(..., vary=False)"
            raise InputError(msg)

    def _combined(self, columns: FloatArray, t: npt.ArrayLike, params: Mapping[str, Any]) -> FloatArray:
        value = self.values(params)
        amplitudes = np.array([value[name] for name in self.linear])
        return np.reshape(np.tensordot(amplitudes, columns[..., 0], 1), np.shape(t))
