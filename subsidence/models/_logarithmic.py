"""The logarithmic time function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray

__all__ = ["Logarithmic"]

#: What a `tau` of zero counts as, and the largest ratio that a logarithm is taken of.
_TINY = 1e-290
_HUGE = 1e300


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """log(1 + s / tau) with s = t - t0; rows of `p` are tau, t0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            tau, since = max(p[0, k], _TINY), t[i] - p[1, k]
            moved = since > 0.0
            since = max(since, 0.0)
            columns[0, i, k] = math.log1p(min(since / tau, _HUGE))
            gradient[0, i, k] = -(since / (tau + since)) / tau
            gradient[1, i, k] = -1.0 / (tau + since) if moved else 0.0


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            tau, since = max(p[0, k], _TINY), t[i] - p[1, k]
            moved = since >= 0.0
            over = 1.0 / (tau + max(since, 0.0))
            velocity[0, i, k] = over if moved else 0.0
            acceleration[0, i, k] = -over * over if moved else 0.0


class Logarithmic(TimeModel):
    r"""
    Settlement that slows down but never ends: the logarithmic time function of creep.

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
    .. math:: w(t) = c + A \ln\left(1 + \frac{\max(t - t_0, 0)}{\tau}\right)

    The parameters, as lmfit sees them:

    ``amplitude``
        :math:`A`, settlement for each factor of e in :math:`1 + s/\tau`, in the unit of the data, of either sign
        (negative for InSAR displacement).
    ``tau``
        time over which the velocity halves, above zero, in units of time.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c`, level before the onset.

    The velocity, :math:`A / (\tau + s)`, is greatest at the onset, :math:`A / \tau`. There is no final settlement; ask
    when it stays below a velocity instead. Use it for secondary compression and for what follows an
    earthquake. Unless the record is several tau long, only the first velocity and its decay are known, not A and tau.

    Examples
    --------
    >>> import numpy as np
    >>> model = Logarithmic()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, amplitude=-0.03, tau=0.2), t=t)
    >>> round(model.peak_velocity(result.params), 4)
    -0.15
    >>> round(model.stabilisation_time(result, velocity=0.005).value, 3)
    5.8
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    linear = ("amplitude",)
    nonlinear = ("tau", "t0")
    units: Mapping[str, str] = {"amplitude": "data", "tau": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"tau"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity: the onset; NaN when `tau` is zero."""
        value = self.values(params)
        return value["t0"] if value["tau"] > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `amplitude`."""
        value = self.values(params)
        return value["amplitude"] / value["tau"] if value["tau"] > 0 else float("nan")

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset and the time over which the velocity halves."""
        first, last = float(t.min()), float(t.max())
        span = (last - first) or 1.0
        onset = held.get("t0")
        onsets = first + span * np.linspace(-0.5, 0.9, 15) if onset is None else np.array([onset])
        taus = np.geomspace(1e-4, 20.0, 20 if onset is None else 100) * max(last - onsets.min(), span)
        taus = np.array([held["tau"]]) if "tau" in held else taus
        onsets, taus = (axis.ravel() for axis in np.meshgrid(onsets, taus, indexing="ij"))
        return {"tau": taus, "t0": onsets}
