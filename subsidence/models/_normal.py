"""The normal time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._grid import sigmoid_grid
from subsidence.typing import FloatArray

__all__ = ["Normal"]

_ROOT_HALF = math.sqrt(0.5)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
#: A width that is not above this one is a step.
_NARROW = 1e-100
#: So many widths away from the middle nothing happens.
_FAR = 40.0


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """Normal distribution of (t - t0 - tau) / sig; rows of `p` are tau, sig, t0, the last one constant."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            width = max(p[1, k], _NARROW)
            z = min(max((t[i] - p[2, k] - p[0, k]) / width, -_FAR), _FAR)
            density = math.exp(-0.5 * z * z) / (_ROOT_TWO_PI * width)
            columns[0, i, k] = 0.5 * math.erfc(-z * _ROOT_HALF)
            gradient[0, i, k] = -density
            gradient[1, i, k] = -z * density


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            width = max(p[1, k], _NARROW)
            z = min(max((t[i] - p[2, k] - p[0, k]) / width, -_FAR), _FAR)
            density = math.exp(-0.5 * z * z) / (_ROOT_TWO_PI * width)
            velocity[0, i, k] = density
            acceleration[0, i, k] = -z * density / width


class Normal(TimeModel):
    r"""
    Symmetric S-shaped settlement with short ends: the normal (Gaussian) time function.

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
    .. math:: w(t) = c + w_m \Phi\left(\frac{t - t_0 - \tau}{\sigma}\right),
              \qquad \Phi(z) = \tfrac{1}{2} \operatorname{erfc}\left(-z / \sqrt{2}\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``tau``
        time of the greatest velocity, counted from t0, where half of w_m is reached.
    ``sig``
        :math:`\sigma`, above zero, in units of time; from 10 to 90 % of w_m it takes :math:`2.6 \sigma`.
    ``t0``
        origin of time, constant: 0. Another origin is another `tau`.
    ``offset``
        :math:`c`, level long before.

    The velocity is greatest, :math:`w_m / (\sigma \sqrt{2 \pi})`, at :math:`t^* = t_0 + \tau`. Use it for points over a
    longwall face: the bowl that passes with the face has the shape of a normal distribution, and so has the
    velocity of a point. Its end is the shortest of the S-shaped curves here.

    References
    ----------
    Normal distributed time function, Coal Science and Technology.

    Examples
    --------
    >>> import numpy as np
    >>> model = Normal()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, tau=1.5, sig=0.5), t=t)
    >>> round(model.time_of_peak(result.params), 3), round(model.peak_velocity(result.params), 4)
    (1.5, -0.1596)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("tau", "sig", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "tau": "time", "sig": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"sig"})
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity, when half of `w_m` is reached; NaN when the curve is a step."""
        value = self.values(params)
        return value["t0"] + value["tau"] if value["sig"] > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `w_m`."""
        value = self.values(params)
        return value["w_m"] / (value["sig"] * _ROOT_TWO_PI) if value["sig"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: time of the greatest velocity and width."""
        middle, width = sigmoid_grid(t)
        return {
            "tau": np.full(middle.size, held["tau"]) if "tau" in held else middle - held["t0"],
            "sig": np.full(middle.size, held["sig"]) if "sig" in held else width / _ROOT_TWO_PI,
            "t0": np.array([held["t0"]]),
        }
