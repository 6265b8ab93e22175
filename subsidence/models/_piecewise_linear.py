"""Velocities that change at dates: straight lines that join."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

import lmfit
import numpy as np
import numpy.typing as npt

from subsidence._kernels.accelerate import jit
from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.models._check import checked_series
from subsidence.models._milestones import Estimate
from subsidence.timescale import TimeUnit, from_elapsed, unit_days
from subsidence.typing import FloatArray, is_number

__all__ = ["PiecewiseLinear"]

#: How many breaks to estimate, or the times of breaks that are known.
Breaks: TypeAlias = int | Sequence[float]

#: Combinations of breaks that a start is sought among, and times that a lone break is tried at.
_COMBINATIONS = 2000
_TIMES = 100
#: Rounds in which every break of a start is moved in turn.
_ROUNDS = 6


@jit
def _curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
    """Hinges max(t - break, 0) after t - t0; rows of `p` are the breaks, then t0."""
    count = p.shape[0] - 1
    for i in range(t.size):
        for k in range(p.shape[1]):
            columns[0, i, k] = t[i] - p[count, k]
            for j in range(count):
                since = t[i] - p[j, k]
                columns[1 + j, i, k] = max(since, 0.0)
                if j < gradient.shape[0]:
                    gradient[j, i, k] = -1.0 if since > 0.0 else 0.0


@jit
def _rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
    count = p.shape[0] - 1
    for i in range(t.size):
        for k in range(p.shape[1]):
            velocity[0, i, k] = 1.0
            acceleration[0, i, k] = 0.0
            for j in range(count):
                velocity[1 + j, i, k] = 1.0 if t[i] >= p[j, k] else 0.0
                acceleration[1 + j, i, k] = 0.0


class PiecewiseLinear(TimeModel):
    r"""
    Constant velocities between dates at which they change; the curve itself has no jump.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    breaks
        How many breaks to estimate; or the times of known breaks, in `time_unit` on the axis of ``t``, which
        then stay and are no parameters.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them.

    Raises
    ------
    InputError
        When `time_unit` is unknown, or `breaks` are neither a number of breaks nor increasing times.

    Notes
    -----
    .. math:: w(t) = c + v_1 (t - t_0) + \sum_j d_j \max(t - b_j, 0)

    The parameters, as lmfit sees them:

    ``velocity_1``
        velocity before the first break, in units of the data per unit of time.
    ``change_1``, ``change_2`` ...
        change of the velocity at each break. :meth:`velocities` adds them up to the velocity in each window
        between breaks, with its standard deviation.
    ``break_1``, ``break_2`` ...
        times of the breaks, when they are estimated. A fit may swap them: :meth:`break_times`,
        :meth:`break_dates` and :meth:`velocities` put them in order.
    ``offset``
        :math:`c`, the level at ``t0``, which is the origin of time and stays at 0.

    The misfit as a function of the breaks has many minima, and its derivative a jump at every epoch. The start
    is sought on combinations of quantiles of the epochs (2000 at most, so that they are dense for one break
    and coarse for four), and for one series improved by moving one break at a time. Standard deviations of a
    break and of the velocities beside it are to first order: they are good where the change stands out of the noise.
    ``subsidence.fit_breaks`` finds the best of all breaks and how many there are, with confidence sets.

    References
    ----------
    Hudson (1966), Fitting segmented curves whose join points have to be estimated,
    https://doi.org/10.1080/01621459.1966.10482198.

    Examples
    --------
    >>> import numpy as np
    >>> model = PiecewiseLinear(breaks=2)
    >>> t = np.linspace(0, 3, 85)
    >>> displacement = -0.03 * np.clip(t - 1, 0, 1.4)
    >>> result = model.fit(displacement, t=t)
    >>> [round(found.value, 4) for found in model.break_times(result)]
    [1.0, 2.4]
    >>> [abs(round(found.value, 4)) for found in model.velocities(result)]
    [0.0, 0.03, 0.0]
    >>> model.break_dates(result, origin="2015-06-15").astype("datetime64[M]").tolist()
    [datetime.date(2016, 6, 1), datetime.date(2017, 11, 1)]
    """

    fixed: Mapping[str, float] = {"t0": 0.0}
    constants = frozenset({"t0"})

    def __init__(
        self,
        time_unit: TimeUnit = "year",
        *,
        breaks: Breaks = 1,
        prefix: str = "",
        nan_policy: str = "omit",
    ) -> None:
        self.breaks = _checked_breaks(breaks)
        count = self.breaks if isinstance(self.breaks, int) else len(self.breaks)
        numbers = range(1, count + 1)
        found = tuple(f"break_{j}" for j in numbers) if isinstance(self.breaks, int) else ()
        self.linear = ("velocity_1", *(f"change_{j}" for j in numbers))
        self.nonlinear = (*found, "t0")
        self.owner = (*range(1, len(found) + 1), 0)
        self.units = {
            **dict.fromkeys(self.linear, "data/time"),
            **dict.fromkeys(self.nonlinear, "time"),
            "offset": "data",
        }
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def curve(self, t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
        """Fill in t - t0 and the hinges, and the derivatives of the hinges by their breaks."""
        _curve(t, self._with_known(p), columns, gradient if isinstance(self.breaks, int) else gradient[:0])

    def rates(self, t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """Fill in steps at the breaks: the velocity at a break is the one after it."""
        _rates(t, self._with_known(p), velocity, acceleration)

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Columns of values to try: combinations of quantiles of the epochs, in order."""
        free = [name for name in self.nonlinear if name not in held]
        grid = _combinations(t, len(free))
        columns: dict[str, FloatArray] = {name: np.array([held[name]]) for name in self.nonlinear if name in held}
        return columns | dict(zip(free, grid, strict=True))

    def guess(
        self, data: npt.ArrayLike, t: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, **values: float
    ) -> lmfit.Parameters:
        """
        Parameters to start a fit from: the best combination of breaks, then better ones with one moved at a time.

        Parameters
        ----------
        data
            Settlement or displacement of either sign; NaN is left out.
        t
            Time, in the model's unit.
        weights
            One over the standard deviation of each value of `data`.
        **values
            Parameters to hold at a value while the others are sought.

        Returns
        -------
        lmfit.Parameters
            With the model's bounds; parameters that the model fixes stay fixed.

        Raises
        ------
        InputError
            When `data` and `t` do not go together, hold too few values, or a name is not a parameter.
        """
        best = super().guess(data, t, weights=weights, **values)
        names = [self.prefix + name for name in self.nonlinear]
        free = [name for name in names if best[name].vary and name not in values]
        series = checked_series(data, t, weights, needed=0)
        least = self._misfit(best, *series)
        for _ in range(_ROUNDS if len(free) > 1 else 0):
            before = least
            for name in free:
                others = {other: float(best[other].value) for other in free if other != name}
                moved = super().guess(data, t, weights=weights, **{**values, **others})
                misfit = self._misfit(moved, *series)
                if misfit < least:
                    best, least = moved, misfit
            if least == before:
                break
        return best

    def velocities(self, fitted: Any) -> tuple[Estimate, ...]:
        """
        Velocity in each window between breaks, in order of time.

        Parameters
        ----------
        fitted
            An lmfit result, whose covariance gives the standard deviations, or parameters.

        Returns
        -------
        tuple of Estimate
            ``value`` in units of the data per unit of time, with the data's sign, and ``std``, NaN where it is
            not known; one more than there are breaks.
        """
        value = self.values(getattr(fitted, "params", fitted))
        order = np.argsort(self._breaks(value), kind="stable")
        weights = np.zeros((len(self.linear), len(self.linear)))
        weights[:, 0] = 1.0
        for window, column in enumerate(order, start=1):
            weights[window:, 1 + column] = 1.0
        velocity = weights @ [value[name] for name in self.linear]
        std = self._std(fitted, self.linear, weights)
        return tuple(Estimate(float(v), float(s)) for v, s in zip(velocity, std, strict=True))

    def break_times(self, fitted: Any) -> tuple[Estimate, ...]:
        """
        Times of the breaks, in order.

        Parameters
        ----------
        fitted
            An lmfit result, whose covariance gives the standard deviations, or parameters.

        Returns
        -------
        tuple of Estimate
            ``value`` and ``std`` in the model's unit of time; ``std`` is 0 for a known break, NaN where it is
            not known.
        """
        times = self._breaks(self.values(getattr(fitted, "params", fitted)))
        std: FloatArray = np.zeros(times.size)
        if isinstance(self.breaks, int):
            std = self._std(fitted, self.nonlinear[:-1], np.eye(times.size))
        return tuple(Estimate(float(times[j]), float(std[j])) for j in np.argsort(times, kind="stable"))

    def break_dates(self, fitted: Any, *, origin: np.datetime64 | str) -> npt.NDArray[np.datetime64]:
        """
        Dates of the breaks, in order.

        Parameters
        ----------
        fitted
            An lmfit result, or parameters.
        origin
            Date of t = 0.

        Returns
        -------
        numpy.ndarray
            datetime64[ns].
        """
        return from_elapsed([at.value for at in self.break_times(fitted)], origin=origin, unit=self.time_unit)

    def with_unit(self, time_unit: TimeUnit) -> PiecewiseLinear:
        """Return the same family with another unit of time; hints of parameters are not carried over."""
        factor = unit_days(self.time_unit) / unit_days(time_unit)
        breaks = self.breaks if isinstance(self.breaks, int) else tuple(time * factor for time in self.breaks)
        return PiecewiseLinear(time_unit, breaks=breaks, prefix=self.prefix, nan_policy=self.nan_policy)

    def options(self) -> dict[str, Any]:
        """Number or times of the breaks."""
        return {"breaks": self.breaks if isinstance(self.breaks, int) else list(self.breaks)}

    def _with_known(self, p: FloatArray) -> FloatArray:
        """Rows of every break and t0, known breaks too."""
        if isinstance(self.breaks, int):
            return p
        known = np.broadcast_to(np.array(self.breaks)[:, None], (len(self.breaks), p.shape[1]))
        return np.concatenate([known, p])

    def _breaks(self, value: Mapping[str, float]) -> FloatArray:
        return np.array([value[name] for name in self.nonlinear[:-1]] if isinstance(self.breaks, int) else self.breaks)

    def _misfit(self, params: lmfit.Parameters, y: FloatArray, time: FloatArray, weight: FloatArray) -> float:
        return float((((y - self.eval(params, t=time)) * weight) ** 2).sum())

    def _std(self, fitted: Any, names: Sequence[str], weights: FloatArray) -> FloatArray:
        """Standard deviations of weighted sums of parameters, NaN without a covariance."""
        covariance, varied = getattr(fitted, "covar", None), getattr(fitted, "var_names", None)
        if covariance is None or varied is None:
            return np.full(len(weights), np.nan)
        place = {name: row for row, name in enumerate(varied)}
        rows = [place.get(self.prefix + name) for name in names]
        kept = [column for column, row in enumerate(rows) if row is not None]  # others are held: no error
        used = [row for row in rows if row is not None]
        part = np.asarray(covariance)[np.ix_(used, used)]
        spread: FloatArray = np.sqrt(np.einsum("wa,ab,wb->w", weights[:, kept], part, weights[:, kept]))
        return spread


def _checked_breaks(breaks: object) -> int | tuple[float, ...]:
    if isinstance(breaks, (int, np.integer)) and not isinstance(breaks, bool):
        if breaks >= 0:
            return int(breaks)
    elif isinstance(breaks, (Sequence, np.ndarray)) and not isinstance(breaks, str):
        times = list(breaks)
        if times and all(is_number(time) and math.isfinite(time) for time in times) and np.all(np.diff(times) > 0):
            return tuple(float(time) for time in times)
    msg = (
        f"breaks must be how many to estimate (0 or more), or increasing times in time_unit, got {breaks!r}: "
        "use to_elapsed(dates, origin=..., unit=...) for dates"
    )
    raise InputError(msg)


def _combinations(t: FloatArray, count: int) -> FloatArray:
    """Times of `count` breaks in order, of shape (breaks, combinations)."""
    if count == 0:
        return np.empty((0, 1))
    times = count
    while math.comb(times + 1, count) <= _COMBINATIONS and times < _TIMES:
        times += 1
    grid = np.quantile(np.unique(t), np.arange(1, times + 1) / (times + 1))
    found: FloatArray = np.array(list(combinations(grid, count))).T
    return found
