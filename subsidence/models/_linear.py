"""A constant velocity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.models._base import TimeModel
from subsidence.typing import FloatArray

__all__ = ["Linear"]


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, _gradient: FloatArray) -> None:
    """Time since t0; the one row of `p` is t0, which is constant and has no derivative."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            columns[0, i, k] = t[i] - p[0, k]


@jit
def _rates(_t: FloatArray, _p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    velocity[:] = 1.0
    acceleration[:] = 0.0


class Linear(TimeModel):
    r"""
    Motion of constant velocity.

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
    .. math:: w(t) = c + v\,(t - t_0)

    The parameters, as lmfit sees them:

    ``velocity``
        :math:`v`, in the unit of the data per unit of time; negative for subsidence seen by InSAR.
    ``t0``
        time at which the curve is at `offset`, constant: 0. A sum leaves it out.
    ``offset``
        :math:`c`, level at :math:`t_0`.

    The curve to measure others by, a trend beside :class:`Seasonal`, and creep that goes on after a settlement:
    ``Knothe() + Linear()``. It has no final settlement, no peak and no stages.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(10) / 10
    >>> result = Linear().fit(0.5 - 0.02 * t, t=t)
    >>> {name: round(value, 4) for name, value in result.best_values.items()}
    {'velocity': -0.02, 't0': 0.0, 'offset': 0.5}
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    linear = ("velocity",)
    nonlinear = ("t0",)
    units: Mapping[str, str] = {"velocity": "data/time", "t0": "time", "offset": "data"}
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:  # noqa: ARG002
        """Nothing is sought but what enters linearly."""
        return {"t0": np.array([held["t0"]])}
