"""The Morgan-Mercer-Flodin time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.elementary import exponential, logarithm
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray

__all__ = ["MMF"]

#: What a `kap` of zero counts as, so that its logarithm exists; a settlement younger than this has not begun.
_TINY = 1e-290
#: Highest power of e that is taken.
_HIGHEST = 700.0


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """s**d / (kap + s**d) with s = t - t0; rows of `p` are d, kap, t0."""
    kap = np.maximum(p[1], _TINY)
    log_kap, over_kap = np.log(kap), 1.0 / kap
    for i in range(t.size):
        for k in range(p.shape[1]):
            moved = t[i] - p[2, k] > _TINY
            # Selected, not branched: then the loop is SIMD.
            since = t[i] - p[2, k] if moved else 1.0
            log_since = logarithm(since)
            left = exponential(log_kap[k] - p[0, k] * log_since)
            column = 1.0 / (1.0 + left)
            slope = left * column * column
            columns[0, i, k] = column if moved else 0.0
            gradient[0, i, k] = slope * log_since if moved else 0.0
            gradient[1, i, k] = -slope * over_kap[k] if moved else 0.0
            gradient[2, i, k] = -(slope * p[0, k]) / since if moved else 0.0


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            d, kap, since = p[0, k], max(p[1, k], _TINY), t[i] - p[2, k]
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since > _TINY:
                left = np.exp(min(np.log(kap) - d * np.log(since), _HIGHEST))
                column = 1.0 / (1.0 + left)
                rate = (d * (left * column * column)) / since
                if rate != 0.0:
                    velocity[0, i, k] = rate
                    acceleration[0, i, k] = rate * (((d - 1.0) - 2.0 * d * column) / since)
            elif since >= 0.0 and d == 1.0:
                velocity[0, i, k] = 1.0 / kap
                acceleration[0, i, k] = -2.0 / kap / kap
            elif since >= 0.0 and d == 2.0:
                acceleration[0, i, k] = 2.0 / kap


class MMF(TimeModel):
    r"""
    S-shaped settlement with an onset and a very long end: the Morgan-Mercer-Flodin time function.

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
    .. math:: w(t) = c + w_m \frac{s^d}{\kappa + s^d}, \qquad s = \max(t - t_0, 0)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``d``
        shape, 0.3 to 10, no unit; above 1 the curve has an inflection. 1 is :class:`Hyperbolic`.
    ``kap``
        :math:`\kappa`, above zero, in **time to the power of d**: its value holds for one unit of time only.
        Half of w_m is reached after :math:`\kappa^{1/d}`.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c`, level before the onset.

    The velocity is greatest at :math:`t^* = t_0 + (\kappa (d-1) / (d+1))^{1/d}`, where :math:`(d-1)/(2d)` of w_m are
    reached: :math:`w_m (d-1)^{1-1/d} (d+1)^{1+1/d} / (4 d \kappa^{1/d})`. What is still to come dies away as
    :math:`t^{-d}`, more slowly than any exponential: of all S-shaped curves here this one predicts the
    largest residual settlement for the same record. Use it where the end is long, as in old mines.

    References
    ----------
    Morgan, Mercer and Flodin (1975). Used for mining subsidence in Applied Sciences 2023, 13(14), 8066.

    Examples
    --------
    >>> import numpy as np
    >>> model = MMF()
    >>> t = np.linspace(0, 5, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, d=2.5, kap=3.0), t=t)
    >>> {name: round(value, 4) for name, value in result.best_values.items() if name != "offset"}
    {'w_m': -0.2, 'd': 2.5, 'kap': 3.0, 't0': 0.0}
    >>> round(model.time_of_peak(result.params), 3)
    1.106
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("d", "kap", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "d": "1", "kap": "time**d", "t0": "time", "offset": "data"}
    positive = frozenset({"d", "kap"})
    bounds: Mapping[str, tuple[float, float]] = {"d": (0.3, 10.0)}
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity; the onset when `d` is 1 or less, NaN when nothing moves."""
        value = self.values(params)
        d, kap = value["d"], value["kap"]
        if kap <= 0 or d <= 0:
            return float("nan")
        if d <= 1:
            return value["t0"]
        return value["t0"] + _exp((math.log(kap) + math.log((d - 1) / (d + 1))) / d)

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, with the sign of `w_m`; infinite when `d` is below 1, as the curve begins with it."""
        value = self.values(params)
        w_m, d, kap = value["w_m"], value["d"], value["kap"]
        if kap <= 0 or d <= 0 or w_m == 0:
            return 0.0
        if d < 1:
            return math.copysign(math.inf, w_m)
        if d == 1:
            return w_m / kap
        power = (1 - 1 / d) * math.log(d - 1) + (1 + 1 / d) * math.log(d + 1) - math.log(kap) / d
        return w_m * _exp(power - math.log(4 * d))

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, shape, and the time in which half of the settlement happens."""
        first, last = float(t.min()), float(t.max())
        span = (last - first) or 1.0
        onset = held.get("t0")
        onsets = first + span * np.linspace(-0.45, 0.6, 6) if onset is None else np.array([onset])
        ds = np.array([held["d"]]) if "d" in held else np.array([0.7, 1.0, 1.5, 2.1, 3.0, 4.5, 7.0])
        # Half the settlement takes a time of a natural range; kap, whose unit holds d, has none.
        halves = np.geomspace(0.02, 4.0, 40 if onset is not None else 7) * max(last - onsets.min(), span)
        onsets, ds, halves = (axis.ravel() for axis in np.meshgrid(onsets, ds, halves, indexing="ij"))
        kap = np.full(ds.size, held["kap"]) if "kap" in held else np.exp(np.clip(ds * np.log(halves), -600, 600))
        return {"d": ds, "kap": kap, "t0": onsets}


def _exp(power: float) -> float:
    """Exponential of a number; infinite where that has no number."""
    return math.exp(power) if power < _HIGHEST else math.inf
