"""The logistic time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.elementary import exponential
from subsidence.models._base import TimeModel
from subsidence.models._grid import sigmoid_grid
from subsidence.typing import FloatArray

__all__ = ["Logistic"]

#: What an `a` of zero counts as, so that its logarithm exists.
_TINY = 1e-290
#: Highest power of e that is taken.
_HIGHEST = 700.0


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """1 / (1 + a exp(-c s)) with s = t - t0; rows of `p` are a, c, t0, the last one constant."""
    a = np.maximum(p[0], _TINY)
    log_a, over_a = np.log(a), 1.0 / a
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[2, k]
            # a exp(-c s) in one exponential: neither factor can overflow before the other makes up for it.
            left = exponential(log_a[k] - p[1, k] * since)
            column = 1.0 / (1.0 + left)
            slope = left * column * column
            columns[0, i, k] = column
            gradient[0, i, k] = -slope * over_a[k]
            gradient[1, i, k] = slope * since


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            c = p[1, k]
            left = np.exp(min(np.log(max(p[0, k], _TINY)) - c * (t[i] - p[2, k]), _HIGHEST))
            column = 1.0 / (1.0 + left)
            rate = c * (left * column * column)
            velocity[0, i, k] = rate
            acceleration[0, i, k] = rate * (c * ((left - 1.0) * column))


class Logistic(TimeModel):
    r"""
    Symmetric S-shaped settlement, as fast in dying away as it came: the logistic time function.

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
    .. math:: w(t) = c_0 + \frac{b}{1 + a\,e^{-c (t - t_0)}}

    The parameters, as lmfit sees them:

    ``b``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``a``
        how late the settlement is, above zero, no unit: :math:`a = e^{c (t^* - t_0)}`.
    ``c``
        rate, above zero, in 1/time; from 10 to 90 % of b it takes :math:`4.4 / c`.
    ``t0``
        origin of time, constant: 0. Another origin is another `a`, so that nothing could tell them apart. Where
        a record lies more than some hundred 1/c from its zero, `a` leaves the range of numbers:
        ``model.set_param_hint("t0", value=..., vary=False)`` then moves the origin to it.
    ``offset``
        :math:`c_0`, level long before. The curve has :math:`w(t_0) = c_0 + b / (1 + a)`, so that of a series
        that is zero at its first epoch it is about :math:`-b / (1 + a)`.

    The velocity is greatest, :math:`b c / 4`, at :math:`t^* = t_0 + \ln(a) / c`, where half of b is reached.

    Use it for settlement that is driven for a while and then left alone, as over a tunnel or an excavation, and
    when no onset is visible in the record. Where the end is slower than the beginning, :class:`Gompertz` or
    :class:`Richards` fit better.

    References
    ----------
    Verhulst (1838). "Temporal and spatial characteristics analysis of deformation along Foshan subway using time
    series InSAR", eq. 2, which has no offset.

    Examples
    --------
    >>> import numpy as np
    >>> model = Logistic(time_unit="year")
    >>> t = np.linspace(0, 3, 60)
    >>> result = model.fit(model.eval(t=t, b=-0.09, a=30.0, c=2.5), t=t)
    >>> {name: round(value, 4) for name, value in result.best_values.items() if name != "offset"}
    {'b': -0.09, 'a': 30.0, 'c': 2.5, 't0': 0.0}
    >>> round(model.time_of_peak(result.params), 3), round(model.peak_velocity(result.params), 5)
    (1.36, -0.05625)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    linear = ("b",)
    nonlinear = ("a", "c", "t0")
    final = "b"
    units: Mapping[str, str] = {"b": "data", "a": "1", "c": "1/time", "t0": "time", "offset": "data"}
    positive = frozenset({"a", "c"})
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity, when half of `b` is reached; NaN when nothing moves."""
        value = self.values(params)
        if value["a"] <= 0 or value["c"] <= 0:
            return float("nan")
        return value["t0"] + math.log(value["a"]) / value["c"]

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `b`."""
        value = self.values(params)
        return value["b"] * value["c"] / 4 if value["a"] > 0 and value["c"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: by the time of the greatest velocity and the width."""
        middle, width = sigmoid_grid(t)
        c = np.full(middle.size, held["c"]) if "c" in held else 4.0 / width
        a = np.exp(np.clip(c * (middle - held["t0"]), -600.0, 600.0))
        return {"a": np.full(middle.size, held["a"]) if "a" in held else a, "c": c, "t0": np.array([held["t0"]])}
