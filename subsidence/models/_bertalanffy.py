"""The Bertalanffy time function."""

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

__all__ = ["Bertalanffy"]

#: What an `a` of zero counts as, so that its logarithm exists.
_TINY = 1e-290
#: Highest power of e that is taken.
_HIGHEST = 700.0


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """(1 - a exp(-k s))^3, zero before it begins, with s = t - t0; rows of `p` are a, k, t0, the last constant."""
    a = np.maximum(p[0], _TINY)
    log_a, over_a = np.log(a), 1.0 / a
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[2, k]
            left = min(exponential(log_a[k] - p[1, k] * since), 1.0)
            done = 1.0 - left
            slope = 3.0 * left * (done * done)
            columns[0, i, k] = done * done * done
            gradient[0, i, k] = -slope * over_a[k]
            gradient[1, i, k] = slope * since


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            rate = p[1, k]
            left = np.exp(min(np.log(max(p[0, k], _TINY)) - rate * (t[i] - p[2, k]), _HIGHEST))
            done = max(1.0 - left, 0.0)
            velocity[0, i, k] = rate * (3.0 * left * done * done)
            acceleration[0, i, k] = (rate * (3.0 * left * done)) * (rate * (3.0 * left - 1.0)) if done > 0.0 else 0.0


class Bertalanffy(TimeModel):
    r"""
    S-shaped settlement with a beginning and a long end: the Bertalanffy time function.

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
    .. math:: w(t) = c + w_m \max\left(1 - a\,e^{-k (t - t_0)},\; 0\right)^3

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``a``
        how late the settlement is, above zero, no unit. It begins at :math:`t_0 + \ln(a) / k`: with a = 1 at t0.
    ``k``
        rate, above zero, in 1/time.
    ``t0``
        origin of time, constant: 0. Another origin is another `a`.
    ``offset``
        :math:`c`, level before it begins. The cube of what is below zero has no meaning for settlement, and the
        curve is flat there, smoothly.

    The velocity is greatest, :math:`4 w_m k / 9`, at :math:`t^* = t_0 + \ln(3a) / k`, where 8/27 = 29.6 % of w_m are
    reached; with a below 1/3 that is before t0. Use it like :class:`Gompertz`, which it is close to, where the
    beginning is in the record. :class:`Richards` has this curve at m = -1/3.

    References
    ----------
    von Bertalanffy (1957), Quantitative laws in metabolism and growth, The Quarterly Review of Biology 32(3),
    217-231.

    Examples
    --------
    >>> import numpy as np
    >>> model = Bertalanffy()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, a=1.0, k=1.5), t=t)
    >>> round(model.time_of_peak(result.params), 3), round(model.peak_velocity(result.params), 4)
    (0.732, -0.1333)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("a", "k", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "a": "1", "k": "1/time", "t0": "time", "offset": "data"}
    positive = frozenset({"a", "k"})
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity, when 8/27 of `w_m` are reached; NaN when nothing moves."""
        value = self.values(params)
        if value["a"] <= 0 or value["k"] <= 0:
            return float("nan")
        return value["t0"] + (math.log(3.0) + math.log(value["a"])) / value["k"]

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `w_m`."""
        value = self.values(params)
        return 4.0 * value["w_m"] * value["k"] / 9.0 if value["a"] > 0 and value["k"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: by the time of the greatest velocity and the width."""
        middle, width = sigmoid_grid(t)
        k = np.full(middle.size, held["k"]) if "k" in held else 2.25 / width
        a = np.exp(np.clip(k * (middle - held["t0"]), -600.0, 600.0)) / 3.0
        return {"a": np.full(middle.size, held["a"]) if "a" in held else a, "k": k, "t0": np.array([held["t0"]])}
