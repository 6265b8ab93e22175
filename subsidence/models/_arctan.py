"""The arctangent time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._grid import sigmoid_grid
from subsidence.typing import FloatArray

__all__ = ["Arctan"]

#: So far out the square is still a number, and the velocity is none.
_FAR = 1e150


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """1/2 + arctan(k s) / pi with s = t - t0 - tau; rows of `p` are k, tau, t0, the last one constant."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[2, k] - p[1, k]
            z = p[0, k] * since
            slope = 1.0 / (math.pi * (1.0 + z * z))
            columns[0, i, k] = 0.5 + math.atan(z) / math.pi
            gradient[0, i, k] = slope * since
            gradient[1, i, k] = -slope * p[0, k]


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            rate = p[0, k]
            z = min(max(rate * (t[i] - p[2, k] - p[1, k]), -_FAR), _FAR)
            velocity[0, i, k] = rate / (math.pi * (1.0 + z * z))
            acceleration[0, i, k] = -2.0 * velocity[0, i, k] * (rate * (z / (1.0 + z * z)))


class Arctan(TimeModel):
    r"""
    Symmetric S-shaped settlement with very long ends: the arctangent time function.

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
    .. math:: w(t) = c + w_m \left(\frac{1}{2} + \frac{1}{\pi} \arctan\bigl(k (t - t_0 - \tau)\bigr)\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``k``
        rate, above zero, in 1/time; from 10 to 90 % of w_m it takes :math:`6.2 / k`.
    ``tau``
        time of the greatest velocity, counted from t0, where half of w_m is reached.
    ``t0``
        origin of time, constant: 0. Another origin is another `tau`.
    ``offset``
        :math:`c`, level infinitely long before: the curve comes from there as slowly as it goes to the end.

    The velocity is greatest, :math:`w_m k / \pi`, at :math:`t^* = t_0 + \tau`. What is still to come dies away as
    :math:`1 / t`, so that w_m and offset are far outside what a record shows and have large standard
    deviations. Use it to see how much a forecast hangs on the end that a curve assumes.

    Examples
    --------
    >>> import numpy as np
    >>> model = Arctan()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, k=4.0, tau=1.5), t=t)
    >>> round(model.time_of_peak(result.params), 3), round(model.peak_velocity(result.params), 4)
    (1.5, -0.2546)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("k", "tau", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "k": "1/time", "tau": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"k"})
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity, when half of `w_m` is reached; NaN when nothing moves."""
        value = self.values(params)
        return value["t0"] + value["tau"] if value["k"] > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `w_m`."""
        value = self.values(params)
        return value["w_m"] * value["k"] / math.pi if value["k"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: time of the greatest velocity and width."""
        middle, width = sigmoid_grid(t)
        return {
            "k": np.full(middle.size, held["k"]) if "k" in held else math.pi / width,
            "tau": np.full(middle.size, held["tau"]) if "tau" in held else middle - held["t0"],
            "t0": np.array([held["t0"]]),
        }
