"""Polynomials in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.timescale import TimeUnit
from subsidence.typing import FloatArray

__all__ = ["Polynomial"]

#: Powers beyond this one cannot be told apart in double precision.
_HIGHEST = 9


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, _gradient: FloatArray) -> None:
    """(t - t0)**k for k = 1, 2, ...; the one row of `p` is t0, which is constant and has no derivative."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[0, k]
            power = 1.0
            for row in range(columns.shape[0]):
                power *= since
                columns[row, i, k] = power


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    for i in range(t.size):
        for k in range(p.shape[1]):
            since = t[i] - p[0, k]
            power, lower = 1.0, 0.0  # since**row and since**(row - 1); the second counts from row 1
            for row in range(velocity.shape[0]):
                velocity[row, i, k] = (row + 1) * power
                acceleration[row, i, k] = (row + 1) * row * lower
                lower = power
                power *= since


class Polynomial(TimeModel):
    r"""
    Motion as a polynomial of time.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    degree
        Highest power of time, 2 to 9; :class:`Linear` is the first.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them.

    Raises
    ------
    InputError
        When `time_unit` is unknown or `degree` is not a whole number from 2 to 9.

    Notes
    -----
    .. math:: w(t) = c + \sum_{k=1}^{d} c_k\,(t - t_0)^k

    The parameters, as lmfit sees them:

    ``c1``, ``c2``, ...
        coefficients, in the unit of the data per **unit of time to the power k**.
    ``t0``
        time at which the curve is at `offset`, constant: 0. A sum leaves it out.
    ``offset``
        :math:`c`, level at :math:`t_0`.

    It describes a record in which no stage of a settlement is known (twice ``c2`` is its mean acceleration), and
    is what other curves are compared with. Outside the record it says nothing: never extrapolate it. It has no
    final settlement, no peak and no stages.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(10) / 10
    >>> result = Polynomial(degree=2).fit(-0.02 * t - 0.01 * t**2, t=t)
    >>> [round(result.best_values[name], 4) for name in ("c1", "c2")]
    [-0.02, -0.01]
    >>> Polynomial("month", degree=3).parameter_units["c3"]
    'data/month**3'
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    nonlinear = ("t0",)
    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def __init__(
        self, time_unit: TimeUnit = "year", *, degree: int = 2, prefix: str = "", nan_policy: str = "omit"
    ) -> None:
        whole = isinstance(degree, (int, np.integer)) and not isinstance(degree, bool)
        if not whole or not 2 <= degree <= _HIGHEST:
            msg = f"degree must be a whole number from 2 to {_HIGHEST}, got {degree!r}: degree 1 is Linear()"
            raise InputError(msg)
        self.degree = int(degree)
        powers = range(1, self.degree + 1)
        self.linear = tuple(f"c{power}" for power in powers)
        coefficients = {f"c{power}": "data/time" + (f"**{power}" if power > 1 else "") for power in powers}
        self.units = {**coefficients, "t0": "time", "offset": "data"}
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def options(self) -> dict[str, Any]:
        """Degree of the polynomial."""
        return {"degree": self.degree}

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:  # noqa: ARG002
        """Nothing is sought but what enters linearly."""
        return {"t0": np.array([held["t0"]])}
