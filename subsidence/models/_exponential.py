"""Exponential relaxation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.models._onsets import crossed, onsets_and_length
from subsidence.typing import FloatArray

__all__ = ["Exponential"]

#: Relaxation times that are not above it count as a step.
_SHORTEST = 1e-100


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """1 - exp(-s / tau) with s = t - t0; rows of `p` are tau and t0."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            tau, since = p[0, k], t[i] - p[1, k]
            columns[0, i, k] = 1.0 if since > 0.0 else 0.0
            gradient[0, i, k] = 0.0
            gradient[1, i, k] = 0.0
            if since <= 0.0 or tau <= _SHORTEST:
                continue
            x = since / tau
            left = np.exp(-x)
            columns[0, i, k] = -np.expm1(-x)
            if left > 0.0:
                gradient[0, i, k] = -x / tau * left
                gradient[1, i, k] = -left / tau


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            tau, since = p[0, k], t[i] - p[1, k]
            moves = since >= 0.0 and tau > _SHORTEST
            velocity[0, i, k] = np.exp(-since / tau) / tau if moves else 0.0
            acceleration[0, i, k] = -velocity[0, i, k] / tau if moves else 0.0


class Exponential(TimeModel):
    r"""
    Exponential relaxation: settlement that is fastest at its onset and dies away in a relaxation time.

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
    .. math:: w(t) = c_0 + w_m \left(1 - e^{-\max(t - t_0,\,0) / \tau}\right)

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data; negative for subsidence seen by InSAR.
    ``tau``
        relaxation time, above zero, in the unit of time: 63 % of the settlement happens in it, 95 % in three.
    ``t0``
        onset. It stays at 0 unless freed: ``model.set_param_hint("t0", vary=True)``.
    ``offset``
        :math:`c_0`, level before the onset.

    The velocity is greatest at the onset, where it jumps to :math:`w_m / \tau`. It describes primary
    consolidation, post-seismic relaxation and the ground after pumping changes. It is the curve of
    :class:`Knothe` with :math:`\tau = 1/c`, and of Asaoka's method, whose points lie on a straight line.

    References
    ----------
    Asaoka (1978), Observational procedure of settlement prediction, Soils and Foundations 18(4), 87-101.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 4, 40)
    >>> result = Exponential().fit(-0.12 * (1 - np.exp(-t / 1.6)), t=t)
    >>> {name: round(result.best_values[name], 4) for name in ("w_m", "tau")}
    {'w_m': -0.12, 'tau': 1.6}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("tau", "t0")
    final = "w_m"
    units: Mapping[str, str] = {"w_m": "data", "tau": "time", "t0": "time", "offset": "data"}
    positive = frozenset({"tau"})
    fixed: Mapping[str, float] = {"t0": 0.0}

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, which is the onset.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.
        """
        return self.values(params)["t0"]

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
            Infinite when `tau` is zero: such a curve is a step.

        Examples
        --------
        >>> Exponential().peak_velocity({"w_m": -0.2, "tau": 4.0})
        -0.05
        """
        value = self.values(params)
        if value["w_m"] == 0:
            return 0.0
        return value["w_m"] / value["tau"] if value["tau"] > _SHORTEST else float(np.copysign(np.inf, value["w_m"]))

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: onset and relaxation time."""
        onsets, length = onsets_and_length(t, held, count=45)  # a kink is missed where a smooth onset is not
        taus = np.array([held["tau"]]) if "tau" in held else length * np.geomspace(0.01, 20.0, 31)
        return crossed(t0=onsets, tau=taus)
