"""The Knothe time function to a power."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._onsets import crossed, onsets_and_length
from subsidence.typing import FloatArray

__all__ = ["PowerKnothe"]

#: Rates outside count as 0 and as the largest, orders as the largest: products of three stay finite.
_SMALLEST, _LARGEST = 1e-100, 1e100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """(1 - exp(-c s))**n with s = t - t0; rows of `p` are c, n and t0. A negative n counts as 0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, n, since = min(p[0, k], _LARGEST), min(max(p[1, k], 0.0), _LARGEST), t[i] - p[2, k]
            x = c * since
            if since <= 0.0 or c < _SMALLEST or x <= _SMALLEST:
                columns[0, i, k] = 0.0
                # the slope that leads out of c = 0, where there is one
                gradient[0, i, k] = max(since, 0.0) if n == 1.0 else 0.0
                gradient[1, i, k] = 0.0
                gradient[2, i, k] = 0.0
                continue
            left, logarithm = np.exp(-x), _log_reached(x)
            power = np.exp(n * logarithm)
            slope = n * np.exp((n - 1.0) * logarithm) * left
            columns[0, i, k] = power
            gradient[0, i, k] = slope * since
            gradient[1, i, k] = power * logarithm
            gradient[2, i, k] = -slope * c


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, n, since = min(p[0, k], _LARGEST), min(max(p[1, k], 0.0), _LARGEST), t[i] - p[2, k]
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since < 0.0 or c < _SMALLEST or n == 0.0:
                continue
            x = c * since
            left = np.exp(-x)
            reached = -np.expm1(-x)
            slope = n * c * left
            if slope == 0.0:
                continue
            velocity[0, i, k] = slope * reached ** (n - 1.0)
            bend = n * left - 1.0
            if n == 1.0:
                acceleration[0, i, k] = -slope * c
            elif bend != 0.0:
                acceleration[0, i, k] = slope * reached ** (n - 2.0) * bend * c


@jit
def _log_reached(x: float) -> float:
    """log(1 - exp(-x)) to full accuracy."""
    return float(np.log(-np.expm1(-x)) if x < 0.7 else np.log1p(-np.exp(-x)))


class PowerKnothe(TimeModel):
    r"""
    Settlement that begins slowly, accelerates and dies away: the Knothe time function of order n.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them.

    Raises
    ------
    InputError
        When `time_unit` is unknown.

    Notes
    -----
    .. math:: w(t) = c_0 + w_m \left(1 - e^{-c\,\max(t - t_0,\,0)}\right)^n

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data; negative for subsidence seen by InSAR.
    ``c``
        rate at which the settlement dies away, above zero, in one over the unit of time.
    ``n``
        order, 0.1 to 100; 1 is :class:`Knothe`, above 1 the curve has an inflection.
    ``t0``
        onset. It stays at 0 unless freed, because a free onset and `n` are hard to tell apart:
        ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c_0`, level before the onset.

    The velocity is greatest at :math:`t^* = t_0 + \ln(n)/c`, where it is :math:`w_m c (1 - 1/n)^{n-1}`; for many
    mines `n` is 2 to 10. It is the choice for an S-shaped record with an exponential end, where :class:`Weibull`
    ends faster.

    References
    ----------
    Application of the improved Knothe time function model in the prediction of ground mining subsidence (2020),
    Applied Sciences 10(9), 3147, https://doi.org/10.3390/app10093147.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 4, 40)
    >>> result = PowerKnothe().fit(-0.12 * (1 - np.exp(-2 * t)) ** 3, t=t)
    >>> {name: round(result.best_values[name], 4) for name in ("w_m", "c", "n")}
    {'w_m': -0.12, 'c': 2.0, 'n': 3.0}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("c", "n", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "c": "1/time", "n": "1", "t0": "time", "offset": "data"}
    positive = frozenset({"c", "n"})
    bounds: Mapping[str, tuple[float, float]] = {"n": (0.1, 100.0)}
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, in the model's unit of time; the onset when `n` is 1 or less.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            NaN when nothing moves (`c` is zero).

        Examples
        --------
        >>> PowerKnothe().time_of_peak({"w_m": 1.0, "c": 2.0, "n": 3.0})
        0.5493061443...
        """
        value = self.values(params)
        if value["c"] < _SMALLEST:
            return float("nan")
        return float(value["t0"] + np.log(max(value["n"], 1.0)) / value["c"])

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            Infinite when `n` is below 1: such a curve starts with a jump in velocity.

        Examples
        --------
        >>> PowerKnothe().peak_velocity({"w_m": 1.0, "c": 2.0, "n": 3.0})
        0.88888888...
        """
        value = self.values(params)
        w_m, c, n = value["w_m"], value["c"], value["n"]
        if c < _SMALLEST or w_m == 0:
            return 0.0
        if n < 1:
            return float(np.copysign(np.inf, w_m))
        return float(w_m * c * (np.exp((n - 1) * np.log1p(-1 / n)) if n > 1 else 1.0))

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, order, and the time in which 63 % of the settlement happens."""
        onsets, length = onsets_and_length(t, held)
        orders = np.array([held["n"]] if "n" in held else [0.6, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 18.0, 40.0])
        if "c" in held:
            return crossed(t0=onsets, n=orders, c=np.array([held["c"]]))
        grid = crossed(t0=onsets, n=orders, scale=length * np.geomspace(0.02, 8.0, 25))
        # (1 - exp(-c scale))**n = 1 - 1/e
        order = np.maximum(grid["n"], 1e-3)
        return {
            "t0": grid["t0"],
            "n": grid["n"],
            "c": -np.log(-np.expm1(np.log1p(-np.exp(-1)) / order)) / grid["scale"],
        }
