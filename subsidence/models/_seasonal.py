"""Motion that comes back every year, as a sine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.timescale import DAYS_PER_YEAR, TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["Seasonal"]

#: A period that is not above this one stands still.
_SHORTEST = 1e-100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, _gradient: FloatArray) -> None:
    """Sine and cosine of each harmonic; rows of `p` are period and t0, both constant."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            angle = _angle(t[i], p[0, k], p[1, k])
            for row in range(0, columns.shape[0], 2):
                harmonic = 0.5 * row + 1.0
                columns[row, i, k] = np.sin(harmonic * angle)
                columns[row + 1, i, k] = np.cos(harmonic * angle)


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            angle = _angle(t[i], p[0, k], p[1, k])
            frequency = 2.0 * np.pi / p[0, k] if p[0, k] > _SHORTEST else 0.0
            for row in range(0, velocity.shape[0], 2):
                harmonic = 0.5 * row + 1.0
                rate = harmonic * frequency
                sine, cosine = np.sin(harmonic * angle), np.cos(harmonic * angle)
                velocity[row, i, k] = rate * cosine
                velocity[row + 1, i, k] = -rate * sine
                acceleration[row, i, k] = -(rate**2) * sine
                acceleration[row + 1, i, k] = -(rate**2) * cosine


@jit
def _angle(t: float, period: float, origin: float) -> float:
    """Angle since the last full period; whole periods taken off first, so that far times keep their digits."""
    if period <= _SHORTEST:
        return 0.0
    cycles = (t - origin) / period
    return float(2.0 * np.pi * (cycles - np.floor(cycles)))


class Seasonal(TimeModel):
    r"""
    Motion that comes back every year: a sine of one year, and of half a year where asked.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    semi_annual
        Add a sine of half a year, for a wave that rises faster than it falls.
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
        w(t) = c + s \sin\frac{2\pi (t - t_0)}{P} + k \cos\frac{2\pi (t - t_0)}{P}
               \left[+ s_2 \sin\frac{4\pi (t - t_0)}{P} + k_2 \cos\frac{4\pi (t - t_0)}{P}\right]

    The parameters, as lmfit sees them:

    ``sine``, ``cosine``, ``sine_2``, ``cosine_2``
        :math:`s, k, s_2, k_2`, in the unit of the data; both signs.
    ``period``
        :math:`P`, constant: 365.25 days in the model's unit of time.
    ``t0``
        origin of the angles, constant: 0. A sum leaves it out.
    ``offset``
        :math:`c`, mean level.

    Groundwater, temperature and moisture move the ground this way, and it is all that is left once a settlement
    has ended: add it to one, ``Weibull() + Seasonal()``. A wave that is confined to winter is
    :class:`FrostHeave`'s. Records of less than a year cannot tell it from a trend.

    Examples
    --------
    >>> import numpy as np
    >>> model = Seasonal("month")
    >>> t = np.arange(0, 36, 0.4)
    >>> result = model.fit(0.004 * np.cos(2 * np.pi * (t - 3) / 12), t=t)  # greatest in the third month
    >>> round(model.amplitude(result.params), 6), round(model.phase(result.params), 6)
    (0.004, 3.0)
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("period", "t0")
    constants = frozenset({"period", "t0"})

    def __init__(
        self, time_unit: TimeUnit = "year", *, semi_annual: bool = False, prefix: str = "", nan_policy: str = "omit"
    ) -> None:
        self.semi_annual = bool(semi_annual)
        self.linear = ("sine", "cosine", "sine_2", "cosine_2") if self.semi_annual else ("sine", "cosine")
        self.units = {**dict.fromkeys(self.linear, "data"), "period": "time", "t0": "time", "offset": "data"}
        self.fixed = {"period": DAYS_PER_YEAR / unit_days(time_unit), "t0": 0.0}
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def options(self) -> dict[str, Any]:
        """Whether there is a sine of half a year."""
        return {"semi_annual": self.semi_annual}

    def amplitude(self, params: Mapping[str, Any]) -> float:
        """
        Amplitude of the annual sine, in the unit of the data: half of what lies between its extremes.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers; a sum's will do.

        Examples
        --------
        >>> Seasonal().amplitude({"sine": 0.003, "cosine": -0.004})
        0.005
        """
        value = self.values(params)
        return float(np.hypot(value["sine"], value["cosine"]))

    def phase(self, params: Mapping[str, Any]) -> float:
        """
        Time at which the annual sine is greatest, in the model's unit: from 0 to the period, counted from t = 0.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers; a sum's will do.

        Examples
        --------
        >>> Seasonal().phase({"sine": 1.0, "cosine": 0.0})
        0.25
        """
        value = self.values(params)
        # In the parameters of a sum, t0 is another term's onset: the origin is what this model holds it at.
        period, origin = value["period"], self.held()["t0"]
        since = np.arctan2(value["sine"], value["cosine"]) / (2.0 * np.pi) * period
        found = float((origin + since) % period)
        return found if found < period else 0.0  # the remainder of -1e-17 is rounded up to the period

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:  # noqa: ARG002
        """Nothing is sought but what enters linearly."""
        return {name: np.array([held[name]]) for name in self.nonlinear}
