"""The Knothe time function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._onsets import crossed, onsets_and_length
from subsidence.typing import FloatArray

__all__ = ["Knothe"]

#: Rates above it count as it: products of three stay finite.
_LARGEST = 1e100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """1 - exp(-c s) with s = t - t0; rows of `p` are c and t0. A negative c counts as 0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, since = min(max(p[0, k], 0.0), _LARGEST), t[i] - p[1, k]
            if since <= 0.0:
                columns[0, i, k] = 0.0
                gradient[0, i, k] = 0.0
                gradient[1, i, k] = 0.0
                continue
            left = np.exp(-c * since)
            columns[0, i, k] = -np.expm1(-c * since)
            gradient[0, i, k] = since * left
            gradient[1, i, k] = -c * left


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            c, since = min(max(p[0, k], 0.0), _LARGEST), t[i] - p[1, k]
            left = np.exp(-c * since) if since >= 0.0 else 0.0
            velocity[0, i, k] = c * left
            acceleration[0, i, k] = -c * c * left


class Knothe(TimeModel):
    r"""
    Settlement at a rate proportional to what is still to come: the Knothe time function.

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
    .. math:: w(t) = c_0 + w_m \left(1 - e^{-c\,\max(t - t_0,\,0)}\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data; negative for subsidence seen by InSAR.
    ``c``
        rate, above zero, in one over the unit of time; about 0.1 to 10 a year over mines.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c_0`, level before the onset.

    The velocity is greatest at the onset, where it jumps to :math:`w_m c`. It is the classical curve of a point
    over a mine that is extracted at once, and of consolidation and dewatering (:class:`Exponential` is the same
    curve by its relaxation time). A series that begins slowly and accelerates wants :class:`PowerKnothe`,
    :class:`SrokaSchober` or :class:`Weibull`.

    References
    ----------
    Knothe (1953), Influence of time on the formation of a subsidence trough (in Polish), Archiwum Gornictwa i
    Hutnictwa 1.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 4, 40)
    >>> result = Knothe().fit(-0.12 * (1 - np.exp(-0.9 * t)), t=t)
    >>> {name: round(result.best_values[name], 4) for name in ("w_m", "c")}
    {'w_m': -0.12, 'c': 0.9}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("c", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "c": "1/time", "t0": "time", "offset": "data"}
    positive = frozenset({"c"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, which is the onset; NaN when nothing moves (`c` is zero).

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.
        """
        value = self.values(params)
        return value["t0"] if value["c"] > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Examples
        --------
        >>> Knothe().peak_velocity({"w_m": -0.2, "c": 3.0})
        -0.6
        """
        value = self.values(params)
        return value["w_m"] * max(value["c"], 0.0)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, and the time in which 63 % of the settlement happens."""
        onsets, length = onsets_and_length(t, held, count=45)  # a kink is missed where a smooth onset is not
        rates = np.array([held["c"]]) if "c" in held else 1.0 / (length * np.geomspace(0.01, 20.0, 31))
        return crossed(t0=onsets, c=rates)
