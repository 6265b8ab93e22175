"""The Gompertz time function."""

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

__all__ = ["Gompertz"]

#: What a `b` of zero counts as, so that its logarithm exists.
_TINY = 1e-290
#: Highest power of e that is taken; e to minus that is nothing.
_HIGHEST = 700.0


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """exp(-b exp(-c s)) with s = t - t0; rows of `p` are b, c, t0, the last one constant."""
    b = np.maximum(p[0], _TINY)
    log_b, over_b = np.log(b), 1.0 / b
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[2, k]
            power = exponential(log_b[k] - p[1, k] * since)
            column = exponential(-power)
            slope = min(power, _HIGHEST) * column
            columns[0, i, k] = column
            gradient[0, i, k] = -slope * over_b[k]
            gradient[1, i, k] = slope * since


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            c = p[1, k]
            power = np.exp(min(np.log(max(p[0, k], _TINY)) - c * (t[i] - p[2, k]), _HIGHEST))
            slope = power * np.exp(-power)
            velocity[0, i, k] = c * slope
            acceleration[0, i, k] = (c * slope) * (c * (power - 1.0)) if slope > 0.0 else 0.0


class Gompertz(TimeModel):
    r"""
    S-shaped settlement that begins fast and takes long to end: the Gompertz time function.

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
    .. math:: w(t) = c_0 + w_m \exp\left(-b\,e^{-c (t - t_0)}\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``b``
        how late the settlement is, above zero, no unit: :math:`b = e^{c (t^* - t_0)}`.
    ``c``
        rate, above zero, in 1/time; from 10 to 90 % of w_m it takes :math:`3.1 / c`.
    ``t0``
        origin of time, constant: 0. Another origin is another `b`.
    ``offset``
        :math:`c_0`, level long before; the curve has :math:`w(t_0) = c_0 + w_m e^{-b}`.

    The velocity is greatest, :math:`w_m c / e`, at :math:`t^* = t_0 + \ln(b) / c`, where 1/e = 36.8 % of w_m are
    reached. Use it where a settlement slows down for longer than it took to speed up, as over consolidating
    layers. :class:`Richards` has this curve as its limit m = 0.

    References
    ----------
    Gompertz (1825), On the nature of the function expressive of the law of human mortality, and on a new mode of
    determining the value of life contingencies, Philosophical Transactions 115, 513-583.

    Examples
    --------
    >>> import numpy as np
    >>> model = Gompertz()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, b=8.0, c=1.5), t=t)
    >>> round(model.time_of_peak(result.params), 3), round(model.peak_velocity(result.params), 4)
    (1.386, -0.1104)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("b", "c", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "b": "1", "c": "1/time", "t0": "time", "offset": "data"}
    positive = frozenset({"b", "c"})
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity, when 1/e of `w_m` is reached; NaN when nothing moves."""
        value = self.values(params)
        if value["b"] <= 0 or value["c"] <= 0:
            return float("nan")
        return value["t0"] + math.log(value["b"]) / value["c"]

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `w_m`."""
        value = self.values(params)
        return value["w_m"] * value["c"] / math.e if value["b"] > 0 and value["c"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: by the time of the greatest velocity and the width."""
        middle, width = sigmoid_grid(t)
        c = np.full(middle.size, held["c"]) if "c" in held else math.e / width
        b = np.exp(np.clip(c * (middle - held["t0"]), -600.0, 600.0))
        return {"b": np.full(middle.size, held["b"]) if "b" in held else b, "c": c, "t0": np.array([held["t0"]])}
