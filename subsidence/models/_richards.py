"""The Richards time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.elementary import exponential, logarithm
from subsidence.models._base import TimeModel
from subsidence.models._grid import sigmoid_grid
from subsidence.typing import FloatArray

__all__ = ["Richards"]

#: An `m` closer to zero counts as zero.
_TINY = 1e-290
#: What m exp(-k s) is kept below, and the power of e beyond which nothing of the settlement has happened.
_HUGE = 1e300
_HIGHEST = 700.0
#: Below this m exp(-k s) the derivative by m is summed as a series, since its closed form cancels.
_SMALL = 0.01


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """(1 + m exp(-k s))^(-1/m) with s = t - t0 - tau; rows of `p` are m, k, tau, t0, the last one constant."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            # Selected, not branched: then the loop is SIMD.
            since = t[i] - p[3, k] - p[2, k]
            zero = abs(p[0, k]) < _TINY
            m = 1.0 if zero else p[0, k]
            power = exponential(-p[1, k] * since)
            z = 0.0 if zero else min(m * power, _HUGE)
            begun = z > -1.0
            total = 1.0 + z if begun else 1.0
            rest = 1.0 / total
            excess = total - 1.0
            # log(1 + z) to all digits, however small z.
            log_total = z if excess == 0.0 else logarithm(total) * (z / excess)
            small = abs(z) < _SMALL
            share = power if zero else z * rest / m
            exponent = power if zero else log_total / m
            begun &= exponent < _HIGHEST
            column = exponential(-exponent) if begun else 0.0
            series = z * (5.0 / 6.0 - z * (6.0 / 7.0 - z * 0.875))
            series = 0.5 - z * (2.0 / 3.0 - z * (0.75 - z * (0.8 - series)))
            by_m = power * power * series if small else (log_total - z * rest) / m / m
            columns[0, i, k] = column
            gradient[0, i, k] = column * by_m if begun else 0.0
            gradient[1, i, k] = column * share * since if begun else 0.0
            gradient[2, i, k] = -p[1, k] * (column * share) if begun else 0.0


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            m, rate = p[0, k], p[1, k]
            power = math.exp(min(-rate * (t[i] - p[3, k] - p[2, k]), _HIGHEST))
            zero = abs(m) < _TINY
            z = 0.0 if zero else min(m * power, _HUGE)
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if z <= -1.0:
                continue
            rest = 1.0 / (1.0 + z)
            share = power if zero else z * rest / m
            slope = share * math.exp(-(power if zero else math.log1p(z) / m))
            if slope > 0.0:
                velocity[0, i, k] = rate * slope
                acceleration[0, i, k] = (rate * slope) * (rate * (share - rest))


class Richards(TimeModel):
    r"""
    S-shaped settlement whose asymmetry is a parameter: the Richards time function.

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
    .. math:: w(t) = c + w_m \left(1 + m\,e^{-k (t - t_0 - \tau)}\right)^{-1/m}

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``m``
        asymmetry, no unit, 0 to 20: 1 is :class:`Logistic`; towards 0, :class:`Gompertz`, the end is slower than
        the beginning; above 1 it is faster. -1/3 is :class:`Bertalanffy` and -1 Knothe's curve, for which
        ``model.set_param_hint("m", min=-1)`` opens the range; the curve of a negative m begins at
        :math:`t_0 + \tau + \ln(-m) / k` and is zero before.
    ``k``
        rate, above zero, in 1/time.
    ``tau``
        time of the greatest velocity, :math:`t^*`, counted from t0.
    ``t0``
        origin of time, constant: 0. Another origin is another `tau`.
    ``offset``
        :math:`c`, level long before.

    The velocity is greatest at :math:`\tau`, where :math:`(1 + m)^{-1/m}` of w_m are reached:
    :math:`w_m k (1 + m)^{-(1 + m)/m}`. Three parameters of shape need a record with both bends of the S and little
    noise; else `m` is anywhere between its bounds. Use it to see which way a settlement is asymmetric, and a curve
    with one parameter fewer to predict.

    References
    ----------
    Richards (1959), A flexible growth function for empirical use, Journal of Experimental Botany 10, 290-301.

    Examples
    --------
    >>> import numpy as np
    >>> model = Richards()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, m=0.4, k=2.0, tau=1.5), t=t)
    >>> {name: round(value, 4) for name, value in result.best_values.items() if name not in ("t0", "offset")}
    {'w_m': -0.2, 'm': 0.4, 'k': 2.0, 'tau': 1.5}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("m", "k", "tau", "t0")
    final = "w_m"
    units: Mapping[str, str] = {
        "w_m": "data",
        "m": "1",
        "k": "1/time",
        "tau": "time",
        "t0": "time",
        "offset": "data",
    }
    # Not the logarithm of m: the curve passes smoothly through m = 0, which bounds may be opened beyond.
    positive = frozenset({"k"})
    bounds: Mapping[str, tuple[float, float]] = {"m": (0.0, 20.0)}
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity; the onset when `m` is -1 or less, NaN when nothing moves."""
        value = self.values(params)
        m, k = value["m"], value["k"]
        if k <= 0:
            return float("nan")
        before = math.log(-m) / k if m < -1 else 0.0
        return value["t0"] + value["tau"] + before

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, with the sign of `w_m`; infinite when `m` is below -1, as the curve begins with it."""
        value = self.values(params)
        w_m, m, k = value["w_m"], value["m"], value["k"]
        if k <= 0 or w_m == 0:
            return 0.0
        if m < -1:
            return math.copysign(math.inf, w_m)
        return w_m * k * _peak_share(m)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: asymmetry, time of the greatest velocity and width."""
        ms = np.array([held["m"]]) if "m" in held else np.array([0.1, 0.5, 1.0, 2.5])
        middle, width = sigmoid_grid(t, midpoints=10, widths=7)
        m = np.repeat(ms, middle.size)
        middle, width = np.tile(middle, ms.size), np.tile(width, ms.size)
        share = np.array([_peak_share(value) if value >= -1 else 1.0 for value in ms])
        return {
            "m": m,
            "k": np.full(m.size, held["k"]) if "k" in held else 1.0 / (width * np.repeat(share, m.size // ms.size)),
            "tau": np.full(m.size, held["tau"]) if "tau" in held else middle - held["t0"],
            "t0": np.array([held["t0"]]),
        }


def _peak_share(m: float) -> float:
    """(1 + m)^(-(1 + m)/m), with its limits 1/e and 1 at m = 0 and -1."""
    if abs(m) < _TINY:
        return math.exp(-1.0)
    return math.exp(-((1.0 + m) / m) * math.log1p(m)) if m > -1 else 1.0
