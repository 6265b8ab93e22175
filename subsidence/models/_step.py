"""A step at a known time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.timescale import TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["Step"]


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, _gradient: FloatArray) -> None:
    """0 before and 1 from the one row of `p` on, which is constant and has no derivative."""
    for i in range(t.size):
        for k in range(p.shape[1]):
            columns[0, i, k] = 1.0 if t[i] >= p[0, k] else 0.0


@jit
def _rates(_t: FloatArray, _p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    velocity[:] = 0.0
    acceleration[:] = 0.0


class Step(TimeModel):
    r"""
    A sudden change of level at a known time.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    at
        Time of the step, in `time_unit`.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them.

    Raises
    ------
    InputError
        When `time_unit` is unknown or `at` is not a finite number.

    Notes
    -----
    .. math:: w(t) = c + s\,H(t - t_s), \qquad H = 0 \text{ before } t_s,\ 1 \text{ from } t_s \text{ on}

    The parameters, as lmfit sees them:

    ``step``
        :math:`s`, in the unit of the data; both signs.
    ``at``
        :math:`t_s`, constant: what the model was made with. A misfit does not change with it smoothly, so no fit
        can vary it; look for a step of unknown time by fitting one model for each time between two epochs.
    ``offset``
        :math:`c`, level before the step.

    For an earthquake, a collapse, a change of sensor or an unwrapping error whose date is known, beside another
    curve: ``Weibull() + Step(at=1.5)``. An epoch at the very time of the step counts as after it. The velocity is
    zero on both sides, the jump itself has none.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(10) / 10
    >>> result = Step(at=0.45).fit(np.where(t < 0.45, 0.01, -0.02), t=t)
    >>> round(result.best_values["step"], 6)
    -0.03
    """

    curve = staticmethod(_curve)
    rates = staticmethod(_rates)
    linear = ("step",)
    nonlinear = ("at",)
    units: Mapping[str, str] = {"step": "data", "at": "time", "offset": "data"}
    constants = frozenset({"at"})

    def __init__(self, time_unit: TimeUnit = "year", *, at: float, prefix: str = "", nan_policy: str = "omit") -> None:
        if not (isinstance(at, (int, float, np.integer, np.floating)) and np.isfinite(at)):
            msg = f"at must be the time of the step, a finite number in the model's unit of time, got {at!r}"
            raise InputError(msg)
        self.fixed = {"at": float(at)}
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def options(self) -> dict[str, Any]:
        """Time of the step, in the model's unit."""
        return dict(self.fixed)

    def with_unit(self, time_unit: TimeUnit) -> Step:
        """Return the same step, at the same time, with another unit of time."""
        factor = unit_days(self.time_unit) / unit_days(time_unit)
        at = self.fixed["at"] * factor
        return type(self)(time_unit, at=at, prefix=self.prefix, nan_policy=self.nan_policy)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:  # noqa: ARG002
        """Nothing is sought but what enters linearly."""
        return {"at": np.array([held["at"]])}
