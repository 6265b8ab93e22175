"""Motion of each place: what is smooth in time, and what is left when it is taken off."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import nnls

from subsidence._blocks import Output, Progress, run
from subsidence._kernels.time_filter import high_pass, rough_part
from subsidence.errors import InputError
from subsidence.timescale import DAYS_PER_YEAR, to_elapsed, unit_days
from subsidence.typing import FloatArray

__all__ = ["TimeFilter", "checked_window"]

Dates = npt.NDArray[np.datetime64]
#: Basis, roots of the weights, window, lags and whole operator, as the kernel takes them.
Arrays: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]

#: Default width of the window in time: half a year, but at least this many median revisits.
_HALF_YEAR, _REVISITS = DAYS_PER_YEAR / 2, 10.0
#: Epochs that each term beyond a straight line must have to itself.
_EPOCHS_PER_TERM = 4
#: Standard deviation of a Gaussian whose full width at half its maximum is 1.
_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
#: Epochs weigh less where their variance is more than this many times the median. Variances of one realisation
#: scatter: weights that followed them below that did more harm than good in simulations.
_TURBULENT = 2.0
#: Median of a squared standard normal variate.
_MEDIAN_SQUARE = 0.4549364


@dataclass(frozen=True, eq=False)
class TimeFilter:
    """
    Temporal high-pass filter: a series less its motion.

    Parameters
    ----------
    window
        Full width at half maximum of the window, days.
    terms
        What the linear model of the motion holds, in words.
    design
        Its columns, (epochs, terms).
    near, lag
        Weights in the window about each epoch, and times in units of its standard deviation.
    weight
        Of each epoch; all alike when None.
    """

    window: float
    terms: str
    design: FloatArray
    near: FloatArray
    lag: FloatArray
    weight: FloatArray | None = None
    _arrays: Arrays = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n, p = self.design.shape
        root = np.ones(n) if self.weight is None else np.sqrt(self.weight)
        basis = np.ascontiguousarray(np.linalg.qr(self.design * root[:, np.newaxis])[0])
        whole, column = np.empty((n, n)), np.empty(n)
        factor, gamma, rest = np.empty((p, p)), np.empty(p), np.empty(n)
        for s, unit in enumerate(np.eye(n)):
            rough_part(unit, basis, root, self.near, self.lag, factor, gamma, rest, column)
            whole[:, s] = column
        object.__setattr__(self, "_arrays", (basis, root, self.near, self.lag, whole))

    @classmethod
    def of(cls, time: Dates, window: float | None, *, seasonal: bool) -> TimeFilter:
        """Filter with all epochs weighted alike."""
        years = to_elapsed(time)
        span = float(years[-1])
        if window is None:
            window = max(_HALF_YEAR, _REVISITS * float(np.median(np.diff(years))) * DAYS_PER_YEAR)
        scaled = 2 * years / span - 1
        columns, words = [np.ones_like(years), scaled], ["linear"]
        if time.size >= 3 + _EPOCHS_PER_TERM:
            columns.append(scaled**2 - 1 / 3)
            words.append("quadratic")
        if seasonal and span >= 1 and time.size >= 5 + 2 * _EPOCHS_PER_TERM:
            angle = 2 * np.pi * years
            columns += [np.sin(angle), np.cos(angle)]
            words.append("annual")
        lag = (years[np.newaxis] - years[:, np.newaxis]) * (DAYS_PER_YEAR / (window * _SIGMA))
        return cls(window, " + ".join(words), np.stack(columns, axis=1), np.exp(-0.5 * lag**2), lag)

    @property
    def whole(self) -> FloatArray:
        """The filter of a complete series, (epochs, epochs)."""
        return self._arrays[-1]

    def weighted(self, sample: FloatArray) -> TimeFilter:
        """
        Filter in which epochs of turbulent air weigh less, as told by a `sample` of series (epochs, places).

        With D(s) the variance of epoch s, that of the rough part is the sum of ``whole[t, s]**2 D(s)``, which is
        solved for D. The level of an epoch is a median over places, so that motion of a few of them does not
        look like turbulence, and counts from their median, since what all share is gone with the reference.
        """
        rough = self.apply(xr.Variable(("time", "point"), sample)).values
        seen = np.isfinite(rough).any(axis=1)
        if not seen.all() or not np.any(rough[seen]):
            return self
        level = np.nanmedian((rough - np.nanmedian(rough, axis=1, keepdims=True)) ** 2, axis=1) / _MEDIAN_SQUARE
        variance = nnls(self.whole**2, level)[0]
        middle = float(np.median(variance))
        if not middle > 0:
            return self
        weight = 1 / np.maximum(variance / (_TURBULENT * middle), 1.0)
        return replace(self, weight=weight)

    def apply(
        self,
        series: xr.Variable,
        *,
        place: tuple[str, ...] = ("point",),
        threads: int | None = 1,
        progress: Progress = False,
    ) -> xr.Variable:
        """Rough part of every place, dims ("time", *place); lazy where `series` is."""
        (result,) = run(
            partial(_high_pass, arrays=self._arrays),
            [series],
            [Output(("time",), (len(self.design),), np.result_type(series.dtype, np.float32))],
            place=place,
            threads=threads,
            progress=progress,
            label="motion",
        )
        return result


def _high_pass(start: int, stop: int, series: FloatArray, out: FloatArray, *, arrays: Arrays) -> None:
    high_pass(start, stop, series, *arrays, out)


def checked_window(window: object) -> float | None:
    """Width of the window in days; None for the default."""
    if window is None:
        return None
    if isinstance(window, (timedelta, np.timedelta64)):
        return unit_days(window)
    if isinstance(window, bool) or not isinstance(window, (int, float, np.integer, np.floating)):
        msg = f"temporal_window must be days or a timedelta, got {window!r}"
        raise InputError(msg)
    if not (np.isfinite(window) and window > 0):
        msg = f"temporal_window must be a positive number of days, got {window!r}"
        raise InputError(msg)
    return float(window)
