"""The Sroka-Schober time function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._onsets import crossed, onsets_and_length
from subsidence.typing import FloatArray

__all__ = ["SrokaSchober"]

#: Rates and times above it count as it: products of three stay finite.
_LARGEST = 1e100
#: Terms of the series for rates that are nearly alike.
_TERMS = 14


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """Two exponential delays in a row, s = t - t0; rows of `p` are xi, f and t0. Negative rates count as 0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = min(t[i] - p[2, k], _LARGEST)
            slow, fast, first = _ordered(p[0, k], p[1, k])
            if since <= 0.0:
                columns[0, i, k] = 0.0
                gradient[0, i, k] = 0.0
                gradient[1, i, k] = 0.0
                gradient[2, i, k] = 0.0
                continue
            left, y = np.exp(-slow * since), (fast - slow) * since
            # One minus the slow delay alone, less what the fast one holds back.
            held_back = slow * since * left * _mean_decay(y)
            columns[0, i, k] = -np.expm1(-slow * since) - held_back
            by_slow = fast * since * left * (since * _first_moment(y))
            by_fast = slow * since * left * (since * _last_moment(y))
            gradient[0, i, k] = by_slow if first else by_fast
            gradient[1, i, k] = by_fast if first else by_slow
            gradient[2, i, k] = -fast * held_back


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = min(t[i] - p[2, k], _LARGEST)
            slow, fast, _ = _ordered(p[0, k], p[1, k])
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since < 0.0:
                continue
            left, y = np.exp(-slow * since), (fast - slow) * since
            held_back = slow * since * left * _mean_decay(y)
            velocity[0, i, k] = fast * held_back
            acceleration[0, i, k] = fast * slow * (left * np.exp(-y) - held_back)


@jit
def _ordered(xi: float, f: float) -> tuple[float, float, bool]:
    """The lower and the higher rate, and whether the lower is `xi`."""
    xi, f = min(max(xi, 0.0), _LARGEST), min(max(f, 0.0), _LARGEST)
    return min(xi, f), max(xi, f), xi <= f


@jit
def _mean_decay(y: float) -> float:
    """Mean of exp(-u) for u from 0 to y."""
    return float(-np.expm1(-y) / y) if y > 1e-300 else 1.0


@jit
def _first_moment(y: float) -> float:
    """(1 - mean_decay(y)) / y, by its series where the difference would lose digits."""
    if y > 0.5:
        return (1.0 - _mean_decay(y)) / y
    total, term = 0.0, 0.5
    for order in range(_TERMS):
        total += term
        term *= -y / (order + 3.0)
    return total


@jit
def _last_moment(y: float) -> float:
    """(1 - (1 + y) exp(-y)) / y**2, by its series where the difference would lose digits."""
    if y > 0.5:
        return float((1.0 - (1.0 + y) * np.exp(-y)) / y**2)
    total, term = 0.0, 0.5
    for order in range(_TERMS):
        total += (order + 1.0) * term
        term *= -y / (order + 3.0)
    return total


class SrokaSchober(TimeModel):
    r"""
    Settlement delayed twice, by a void that closes and by the rock above it: the Sroka-Schober function.

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

    .. math:: w = c_0 + w_m \left(1 + \frac{\xi}{f - \xi} e^{-f s} - \frac{f}{f - \xi} e^{-\xi s}\right)

    and for :math:`f = \xi` its limit, :math:`w_m (1 - (1 + \xi s) e^{-\xi s})`. The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data; negative for subsidence seen by InSAR.
    ``xi``
        rate at which the void closes, above zero, in one over the unit of time.
    ``f``
        rate at which the overburden follows, above zero, in one over the unit of time.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c_0`, level before the onset.

    The two rates may be exchanged without change to the curve: a record says what they are but not which is
    which. A fit starts with `xi` as the lower. Near :math:`f = \xi` their difference is hardly determined, and
    far from it the higher one.

    The velocity begins at zero and is greatest at :math:`t^* = t_0 + \ln(f/\xi)/(f - \xi)`, where it is
    :math:`w_m \xi (\xi/f)^{\xi/(f-\xi)}`, after 26 % of the settlement at most. With a much higher `f` it is
    :class:`Knothe`. It was made for salt caverns and goafs that converge slowly below a stiff overburden.

    References
    ----------
    Sroka and Schober (1982), Die Berechnung der maximalen Bodenbewegungen ueber kavernenartigen Hohlraeumen unter
    Beruecksichtigung der Hohlraumgeometrie, Kali und Steinsalz 8.

    Examples
    --------
    >>> import numpy as np
    >>> model = SrokaSchober()
    >>> t = np.linspace(0, 6, 60)
    >>> result = model.fit(model.eval(t=t, w_m=-0.12, xi=0.8, f=3.0), t=t)
    >>> {name: round(result.best_values[name], 4) for name in ("w_m", "xi", "f")}
    {'w_m': -0.12, 'xi': 0.8, 'f': 3.0}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("xi", "f", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "xi": "1/time", "f": "1/time", "t0": "time", "offset": "data"}
    positive = frozenset({"xi", "f"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, in the model's unit of time.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            NaN when nothing moves (`xi` or `f` is zero).

        Examples
        --------
        >>> SrokaSchober().time_of_peak({"w_m": 1.0, "xi": 1.0, "f": 2.0})
        0.69314718...
        """
        value = self.values(params)
        slow, fast, _ = _ordered(value["xi"], value["f"])
        return value["t0"] + _delay(slow, fast) if slow > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Examples
        --------
        >>> SrokaSchober().peak_velocity({"w_m": 1.0, "xi": 1.0, "f": 2.0})
        0.5
        """
        value = self.values(params)
        slow, fast, _ = _ordered(value["xi"], value["f"])
        return float(value["w_m"] * slow * np.exp(-slow * _delay(slow, fast))) if slow > 0 else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, the lower rate, and how many times it the higher one is."""
        onsets, length = onsets_and_length(t, held)
        rates = 1.0 / (length * np.geomspace(0.02, 8.0, 25))
        # Equal rates have equal derivatives, from which no fit finds its way.
        ratios = np.array([1.15, 1.7, 2.5, 4.0, 7.0, 14.0, 40.0])
        if "xi" in held or "f" in held:
            both = {name: np.array([held[name]]) if name in held else np.unique(rates) for name in ("xi", "f")}
            return crossed(t0=onsets, **both)
        grid = crossed(t0=onsets, xi=rates, ratio=ratios)
        grid["f"] = grid["xi"] * grid.pop("ratio")
        return grid


def _delay(slow: float, fast: float) -> float:
    """Time from the onset to the greatest velocity, log(fast / slow) / (fast - slow)."""
    gap = (fast - slow) / slow
    if gap > 1:
        return float((np.log(fast) - np.log(slow)) / (fast - slow))
    return float(np.log1p(gap) / gap / slow) if gap > 0 else 1.0 / slow
