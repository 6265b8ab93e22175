"""The Weibull time function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.elementary import exponential, logarithm
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray

__all__ = ["Weibull"]


#: Beyond this value of eta s**lam nothing of the settlement is left.
_OVER = 700.0
#: Below this the exponential's series is exact to 1e-14 of the value.
_SMALL = 1e-3


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """1 - exp(-eta s**lam) with s = t - t0; rows of `p` are eta, lam, t0.

    Loops over curves touch few rows each, call one function and select instead of branching: only then are they
    compiled to SIMD.
    """
    count = p.shape[1]
    shared = True
    for k in range(count):
        shared &= p[2, k] == p[2, 0]
    for i in range(t.size):
        # Until the last loop, rows of the gradient hold the power of s, log(s) and 1/s, which is zero before t0.
        if shared:  # as an onset that is held: one logarithm for all curves
            since = t[i] - p[2, 0]
            log_since, inverse = (np.log(since), 1.0 / since) if since > 0.0 else (0.0, 0.0)
            for k in range(count):
                gradient[1, i, k] = log_since
                gradient[2, i, k] = inverse
        else:
            for k in range(count):
                since = t[i] - p[2, k]
                gradient[2, i, k] = 1.0 / since if since > 0.0 else 0.0
                gradient[1, i, k] = logarithm(since if since > 0.0 else 1.0)
        for k in range(count):
            gradient[0, i, k] = exponential(p[1, k] * gradient[1, i, k])
        for k in range(count):
            x = max(p[0, k], 0.0) * gradient[0, i, k]
            left = exponential(-x) if x < _OVER else 0.0
            # 1 - exp(-x) of a small x is rounding: a fit whose eta vanishes would follow the noise with it.
            small = x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x / 24.0)))
            columns[0, i, k] = small if x < _SMALL else 1.0 - left
            gradient[0, i, k] *= left
        for k in range(count):
            moved = gradient[2, i, k] > 0.0
            columns[0, i, k] = columns[0, i, k] if moved else 0.0
            gradient[0, i, k] = gradient[0, i, k] if moved else 0.0
        for k in range(count):
            slope = max(p[0, k], 0.0) * gradient[0, i, k]
            gradient[1, i, k] *= slope
            gradient[2, i, k] *= -p[1, k] * slope


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            eta, lam, since = p[0, k], p[1, k], t[i] - p[2, k]
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if since < 0.0 or eta <= 0.0 or lam <= 0.0:
                continue
            x = eta * since**lam
            left = np.exp(-x)
            if left == 0.0:
                continue
            velocity[0, i, k] = eta * lam * since ** (lam - 1.0) * left
            bend = (lam - 1.0) - lam * x
            if bend != 0.0:
                acceleration[0, i, k] = eta * lam * since ** (lam - 2.0) * left * bend


class Weibull(TimeModel):
    r"""
    Settlement that begins slowly, accelerates and dies away: the Weibull time function.

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
    .. math:: w(t) = c + w_m \left(1 - e^{-\eta\,\max(t - t_0,\,0)^{\lambda}}\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data. Its sign is free: positive for settlement counted
        downwards, negative for InSAR displacement (positive towards the satellite).
    ``eta``
        rate, above zero, in **time to the power of -lam**: its value holds for one unit of time only.
    ``lam``
        shape, 0.3 to 8; above 1 the curve has an inflection, above 2 its acceleration rises first.
    ``t0``
        onset. It stays at 0 unless freed, because a free onset and `lam` are hard to tell apart:
        ``model.set_param_hint("t0", vary=True)`` before the fit, or ``params["t0"].vary = True``.
    ``offset``
        :math:`c`, level before the onset: an InSAR series has the error of its first epoch in it.

    The velocity is greatest at :math:`t^* = t_0 + ((\lambda-1)/(\eta\lambda))^{1/\lambda}`, where it is
    :math:`w_m (\eta\lambda)^{1/\lambda} ((\lambda-1)/e)^{(\lambda-1)/\lambda}`; eq. 6 of the paper prints
    the power of :math:`\lambda - 1` with the wrong sign.

    References
    ----------
    Wei et al. (2024), Dynamic subsidence law of surface in alpine mining area based on time function,
    Science Technology and Engineering 24(16), eqs. 1 to 8.

    Examples
    --------
    >>> import numpy as np
    >>> model = Weibull(time_unit="year")
    >>> t = np.linspace(0, 6, 60)
    >>> displacement = model.eval(t=t, w_m=-0.12, eta=0.068, lam=2.5)
    >>> result = model.fit(displacement, t=t)
    >>> {name: round(value, 4) for name, value in result.best_values.items() if name != "offset"}
    {'w_m': -0.12, 'eta': 0.068, 'lam': 2.5, 't0': 0.0}
    >>> round(model.time_of_peak(result.params), 3)
    2.389
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("eta", "lam", "t0")
    final = "w_m"
    units: Mapping[str, str] = {
        "w_m": "data",
        "eta": "time**-lam",
        "lam": "1",
        "t0": "time",
        "offset": "data",
    }
    # eta is kept from negative values in the curve and not by a bound of lmfit's: those map a parameter as if
    # it were of the order of one, and eta is 1e-8 when time is in days.
    positive = frozenset({"eta", "lam"})
    bounds: Mapping[str, tuple[float, float]] = {"lam": (0.3, 8.0)}
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, in the model's unit of time; the onset when `lam` is 1 or less.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            NaN when nothing moves (`eta` is zero).

        Examples
        --------
        >>> Weibull().time_of_peak({"w_m": 1.0, "eta": 0.068, "lam": 2.5})
        2.3892244...
        """
        value = self.values(params)
        eta, lam = value["eta"], value["lam"]
        if eta <= 0:
            return float("nan")
        if lam <= 1:
            return value["t0"]
        return float(value["t0"] + ((lam - 1) / (eta * lam)) ** (1 / lam))

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            Infinite when `lam` is below 1: such a curve starts with a jump in velocity.

        Examples
        --------
        >>> Weibull().peak_velocity({"w_m": 1.0, "eta": 0.068, "lam": 2.5})
        0.34455427...
        """
        value = self.values(params)
        w_m, eta, lam = value["w_m"], value["eta"], value["lam"]
        if eta <= 0 or w_m == 0:
            return 0.0
        if lam < 1:
            return float(np.copysign(np.inf, w_m))
        power = (lam - 1) / lam
        return float(w_m * (eta * lam) ** (1 / lam) * ((lam - 1) / np.e) ** power)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset, shape, and the time in which 63 % of the settlement happens."""
        first, last = float(t.min()), float(t.max())
        span = (last - first) or 1.0
        onset = held.get("t0")
        onsets = first + span * np.linspace(-0.45, 0.65, 12) if onset is None else np.array([onset])
        lams = np.array([held["lam"]]) if "lam" in held else np.array([0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.6, 4.5])
        if "eta" in held:
            grid = np.stack([axis.ravel() for axis in np.meshgrid(onsets, lams, indexing="ij")])
            return {"t0": grid[0], "lam": grid[1], "eta": np.full(grid.shape[1], held["eta"])}
        # The time in which 63 % of the settlement happens has a natural range; eta, whose unit holds lam, has none.
        scales = np.geomspace(0.05, 5.0, 25) * max(last - onsets.min(), span)
        grid = np.stack([axis.ravel() for axis in np.meshgrid(onsets, lams, scales, indexing="ij")])
        return {"t0": grid[0], "lam": grid[1], "eta": grid[2] ** -grid[1]}
