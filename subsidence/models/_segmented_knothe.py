"""The segmented Knothe time function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._onsets import crossed, onsets_and_length
from subsidence.typing import FloatArray

__all__ = ["SegmentedKnothe"]

#: Rates and times above it count as it, times below its inverse as 0: products of three stay finite.
_LARGEST = 1e100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """Half the settlement until s = t - t0 reaches tau, half after it; rows of `p` are c, tau and t0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, tau = min(max(p[0, k], 0.0), _LARGEST), _duration(p[1, k])
            since = min(t[i] - p[2, k], _LARGEST)
            if since <= 0.0:
                columns[0, i, k] = 0.0
                gradient[0, i, k] = 0.0
                gradient[1, i, k] = 0.0
                gradient[2, i, k] = 0.0
            elif since <= tau:
                x, whole = c * since, c * tau
                growth = 0.5 * np.exp(x - whole)
                factor = _bernoulli(whole)
                # (1 - exp(-x)) / (1 - exp(-whole)), also where c is 0
                reached = growth * (factor / _bernoulli(x)) * (since / tau)
                columns[0, i, k] = reached
                gradient[0, i, k] = reached * (since * _beyond(x) - tau * _beyond(whole))
                gradient[1, i, k] = -reached * (factor / tau)
                gradient[2, i, k] = -growth * (factor / tau)
            else:
                left = 0.5 * np.exp(-c * (since - tau))
                columns[0, i, k] = 1.0 - left
                gradient[0, i, k] = (since - tau) * left
                gradient[1, i, k] = -c * left
                gradient[2, i, k] = -c * left


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, tau = min(max(p[0, k], 0.0), _LARGEST), _duration(p[1, k])
            since = min(t[i] - p[2, k], _LARGEST)
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since < 0.0:
                continue
            if since <= tau and tau > 0.0:
                velocity[0, i, k] = 0.5 * np.exp(c * since - c * tau) * (_bernoulli(c * tau) / tau)
                acceleration[0, i, k] = c * velocity[0, i, k]
            else:
                velocity[0, i, k] = 0.5 * c * np.exp(-c * (since - tau))
                acceleration[0, i, k] = -c * velocity[0, i, k]


@jit
def _duration(tau: float) -> float:
    return min(tau, _LARGEST) if tau * _LARGEST > 1.0 else 0.0


@jit
def _bernoulli(x: float) -> float:
    """Quotient x / (1 - exp(-x)) for x >= 0."""
    return float(x / -np.expm1(-x)) if x > 1e-300 else 1.0


@jit
def _beyond(x: float) -> float:
    """(bernoulli(x) - 1) / x for x >= 0, by its series where the difference would lose digits."""
    if x > 0.5:
        return float((x / -np.expm1(-x) - 1.0) / x)
    y = x * x
    series = -1.0 / 1209600.0 + y * (1.0 / 47900160.0 - y * (691.0 / 1307674368000.0))
    return 0.5 + x * (1.0 / 12.0 + y * (-1.0 / 720.0 + y * (1.0 / 30240.0 + y * series)))


class SegmentedKnothe(TimeModel):
    r"""
    Settlement that accelerates exponentially to a peak and dies away from it: the segmented Knothe function.

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
    With :math:`s = \max(t - t_0, 0)`,

    .. math::
        w = c_0 + \frac{w_m}{2}\,\frac{e^{-c(\tau - s)} - e^{-c\tau}}{1 - e^{-c\tau}} \quad (s \le \tau), \qquad
        w = c_0 + w_m \left(1 - \tfrac12 e^{-c(s - \tau)}\right) \quad (s > \tau)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data; negative for subsidence seen by InSAR.
    ``c``
        rate, above zero, in one over the unit of time.
    ``tau``
        time from the onset to the greatest velocity, when half of the settlement has happened; above zero.
    ``t0``
        onset. It stays at 0 unless freed, because a free onset and `tau` are hard to tell apart:
        ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c_0`, level before the onset.

    The first branch is divided by :math:`1 - e^{-c\tau}`: as first published, :math:`(w_m/2) e^{-c(\tau-s)}`, it
    begins at :math:`(w_m/2) e^{-c\tau}` instead of zero. So the curve is continuous, but its velocity falls at
    the peak, from :math:`w_m c / (2 (1 - e^{-c\tau}))`, which is the greatest, to :math:`w_m c / 2`.

    It is a curve with a sharp peak, for mines where a face passes quickly below the point. The misfit is not
    smooth where `tau` passes an epoch; the standard error of `tau` is to be taken with care.

    References
    ----------
    Knothe time function optimization model and its parameter calculation method and precision analysis (2022),
    Minerals 12(6), 745, https://doi.org/10.3390/min12060745. Chang and Wang (2003), the unnormalised form.

    Examples
    --------
    >>> import numpy as np
    >>> model = SegmentedKnothe()
    >>> t = np.linspace(0, 4, 40)
    >>> result = model.fit(model.eval(t=t, w_m=-0.12, c=2.0, tau=1.3), t=t)
    >>> {name: round(result.best_values[name], 4) for name in ("w_m", "c", "tau")}
    {'w_m': -0.12, 'c': 2.0, 'tau': 1.3}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("c", "tau", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "c": "1/time", "tau": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"c", "tau"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, in the model's unit of time.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Examples
        --------
        >>> SegmentedKnothe().time_of_peak({"w_m": 1.0, "c": 2.0, "tau": 1.5, "t0": 0.5})
        2.0
        """
        value = self.values(params)
        return value["t0"] + max(value["tau"], 0.0)

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`: that before the peak.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            Infinite when `tau` is zero: such a curve starts with a step.

        Examples
        --------
        >>> SegmentedKnothe().peak_velocity({"w_m": 1.0, "c": 2.0, "tau": 1.5, "t0": 0.5})
        1.05239569...
        """
        value = self.values(params)
        w_m, c, tau = value["w_m"], max(value["c"], 0.0), _duration(value["tau"])
        if w_m == 0:
            return 0.0
        if tau == 0:
            return float(np.copysign(np.inf, w_m))
        return float(0.5 * w_m * (_bernoulli(min(c, _LARGEST) * tau) / tau))

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, time to the peak, and how sharp the peak is."""
        onsets, length = onsets_and_length(t, held)
        rates = np.array([held["c"]]) if "c" in held else np.geomspace(0.3, 90.0, 11) / length
        if "tau" in held:
            return crossed(t0=onsets, tau=np.array([held["tau"]]), c=rates)
        # The record shows the time of the peak; where the settlement began is often hidden in its noise.
        first = float(t.min())
        grid = crossed(t0=onsets, peak=first + (float(t.max()) - first or 1.0) * np.linspace(0.02, 1.5, 60), c=rates)
        grid["tau"] = np.maximum(grid.pop("peak") - grid["t0"], 0.02 * length)
        return grid
