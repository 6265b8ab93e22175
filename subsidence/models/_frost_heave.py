"""Heave of freezing ground, confined to winter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.timescale import DAYS_PER_YEAR, TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["FrostHeave"]

#: A period or width that is not above this one holds no pulse.
_SHORTEST = 1e-100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """cos(pi d / width)**2 with d from the nearest peak; rows of `p` are peak, width and period."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            angle, rate = _angle(t[i], p[0, k], p[1, k], p[2, k])
            columns[0, i, k] = np.cos(angle) ** 2 if rate > 0.0 else 0.0
            gradient[0, i, k] = rate * np.sin(2.0 * angle)


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            angle, rate = _angle(t[i], p[0, k], p[1, k], p[2, k])
            velocity[0, i, k] = -rate * np.sin(2.0 * angle)
            acceleration[0, i, k] = -2.0 * rate**2 * np.cos(2.0 * angle)


@jit
def _angle(t: float, peak: float, width: float, period: float) -> tuple[float, float]:
    """Angle of the pulse, between -pi/2 and pi/2, and its change in time; both 0 outside the pulse."""
    width = min(width, period)  # longer pulses would run into each other
    if width <= _SHORTEST:
        return 0.0, 0.0
    cycles = (t - peak) / period
    distance = (cycles - np.rint(cycles)) * period
    if not abs(distance) < 0.5 * width:
        return 0.0, 0.0
    return np.pi * distance / width, np.pi / width


class FrostHeave(TimeModel):
    r"""
    Heave of freezing ground: every winter a pulse that rises and thaws, and nothing in between.

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
    .. math::
        w(t) = c + h \cos^2\frac{\pi d}{b} \quad\text{for } |d| < b/2, \qquad w(t) = c \quad\text{elsewhere}

    with :math:`d` the time since the nearest peak, :math:`t_p + k P` for whole :math:`k`. The parameters, as
    lmfit sees them:

    ``heave``
        :math:`h`, height of the pulse in the unit of the data. Its sign is free: ground that freezes rises, so
        it is positive in displacement and negative in settlement counted downwards.
    ``peak``
        :math:`t_p`, time of the greatest heave; one of them, the others follow a year apart.
    ``width``
        :math:`b`, length of the pulse from the first frost to the end of the thaw, constant: half a year. Another
        one is ``model.set_param_hint("width", value=...)``; longer than the period it counts as the period.
    ``period``
        :math:`P`, constant: 365.25 days in the model's unit of time.
    ``offset``
        :math:`c`, level in summer.

    Wet ground in the cold heaves in January and settles back in May (Wei et al. 2024, water-bearing points, who cut
    the settlement curve in two instead); a sine would let it settle in summer by as much. It goes with a
    settlement: ``Weibull() + FrostHeave()``. Its shape, the raised cosine, is this library's choice: smooth, with
    the velocity zero at both ends and at the peak.

    References
    ----------
    Wei et al. (2024), Dynamic subsidence law of surface in alpine mining area based on time function,
    Science Technology and Engineering 24(16).

    Examples
    --------
    >>> import numpy as np
    >>> model = FrostHeave()
    >>> t = np.arange(0, 3, 12 / 365.25)  # years since the first of May
    >>> displacement = model.eval(t=t, heave=0.015, peak=0.71)
    >>> result = model.fit(displacement, t=t)
    >>> round(result.best_values["heave"], 4), round(result.best_values["peak"], 4)
    (0.015, 0.71)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    linear = ("heave",)
    nonlinear = ("peak", "width", "period")
    units: Mapping[str, str] = {"heave": "data", "peak": "time", "width": "time", "period": "time", "offset": "data"}
    constants = frozenset({"width", "period"})

    def __init__(self, time_unit: TimeUnit = "year", *, prefix: str = "", nan_policy: str = "omit") -> None:
        year = DAYS_PER_YEAR / unit_days(time_unit)
        self.fixed = {"width": 0.5 * year, "period": year}
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:  # noqa: ARG002
        """Columns of values to try: peaks all over the period, no farther apart than a quarter of the pulse."""
        width, period = held["width"], held["period"]
        count = int(np.clip(np.ceil(4.0 * period / max(width, _SHORTEST)), 12, 48))
        peaks = np.array([held["peak"]]) if "peak" in held else period * np.arange(count) / count
        return {"peak": peaks, "width": np.full(peaks.size, width), "period": np.full(peaks.size, period)}
