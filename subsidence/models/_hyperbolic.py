"""The hyperbolic time function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray

__all__ = ["Hyperbolic"]

#: A settlement younger than this has not begun.
_TINY = 1e-290


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """Fill in s / (t50 + s) with s = t - t0; rows of `p` are t50, t0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            moved = t[i] - p[1, k] > _TINY
            since = t[i] - p[1, k] if moved else 1.0
            half = max(p[0, k], 0.0)
            over = 1.0 / (half + since)
            column = since * over
            columns[0, i, k] = column if moved else 0.0
            gradient[0, i, k] = -column * over if moved else 0.0
            gradient[1, i, k] = -(half * over) * over if moved else 0.0


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            half, since = p[0, k], t[i] - p[1, k]
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since >= 0.0 and half > 0.0:
                velocity[0, i, k] = half / (half + since) / (half + since)
                acceleration[0, i, k] = -2.0 * velocity[0, i, k] / (half + since)


class Hyperbolic(TimeModel):
    r"""
    Settlement that is fastest at its onset and takes very long to end: the hyperbolic time function.

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
    .. math:: w(t) = c + w_m \frac{s}{t_{50} + s} = c + \frac{s}{\alpha + \beta s}, \qquad s = \max(t - t_0, 0)

    with :math:`\alpha = t_{50} / w_m`, one over the first velocity, and :math:`\beta = 1 / w_m`: in a plot of
    :math:`s / (w - c)` against s the curve is a straight line of this intercept and slope. The parameters, as lmfit
    sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``t50``
        time in which half of it happens, above zero, in units of time.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c`, level before the onset.

    The velocity is greatest, :math:`w_m / t_{50}`, at the onset. Use it for consolidation under a fill or a building
    that was finished at t0. Its end is long: where the truth is exponential it overestimates w_m.

    References
    ----------
    Kondner (1963), Hyperbolic stress-strain response: cohesive soils, Journal of the Soil Mechanics and Foundations
    Division, ASCE 89(SM1), 115-143. Tan et al. (1991), for settlement in time.

    Examples
    --------
    >>> import numpy as np
    >>> model = Hyperbolic()
    >>> t = np.linspace(0, 4, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.2, t50=0.8), t=t)
    >>> round(model.final_settlement(result.params), 4), round(model.peak_velocity(result.params), 4)
    (-0.2, -0.25)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("t50", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "t50": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"t50"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity: the onset; NaN when the curve is a step."""
        value = self.values(params)
        return value["t0"] if value["t50"] > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity, in units of the data per unit of time, with the sign of `w_m`."""
        value = self.values(params)
        return value["w_m"] / value["t50"] if value["t50"] > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset and the time in which half of the settlement happens."""
        first, last = float(t.min()), float(t.max())
        span = (last - first) or 1.0
        onset = held.get("t0")
        onsets = first + span * np.linspace(-0.5, 0.9, 15) if onset is None else np.array([onset])
        halves = np.geomspace(0.005, 20.0, 20 if onset is None else 100) * max(last - onsets.min(), span)
        halves = np.array([held["t50"]]) if "t50" in held else halves
        onsets, halves = (axis.ravel() for axis in np.meshgrid(onsets, halves, indexing="ij"))
        return {"t50": halves, "t0": onsets}
