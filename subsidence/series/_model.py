"""The linear time model: its columns, and what is asked of the epochs it stands on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.timescale import DAYS_PER_YEAR, to_elapsed

__all__ = ["PHASE_ORIGIN", "Design", "checked_time", "linear_design", "place_of"]

#: Where the phase of the year is zero; with years of 365.25 days it stays within a day of 1 January.
PHASE_ORIGIN = "2000-01-01"
#: Smallest singular value (of columns of unit length) with which the epochs still tell the terms apart.
_RANK = 1e-6

Dates = npt.NDArray[np.datetime64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """A design matrix as an orthonormal basis and the way back from it.

    Parameters
    ----------
    basis
        Q of shape (epochs, parameters).
    back
        Inverse of R, of shape (parameters, parameters).
    """

    basis: Float64
    back: Float64


def checked_time(series: xr.Dataset, *, argument: str = "series") -> Dates:
    """Epochs of a series after checking it: at least three, increasing."""
    schema.SERIES.check(series, argument=argument)
    time = np.asarray(series["time"].values)
    if time.size < 3:
        msg = f"{argument} has {time.size} epochs, expected at least 3"
        raise InputError(msg)
    if np.isnat(time).any():
        msg = f"{argument} has no date (NaT) at epoch {int(np.argmax(np.isnat(time)))}: drop that epoch"
        raise InputError(msg)
    steps = np.diff(time)
    wrong = np.flatnonzero(steps <= np.timedelta64(0))
    if wrong.size:
        at = int(wrong[0])
        what = "twice" if steps[at] == np.timedelta64(0) else "out of order"
        msg = (
            f"{argument} has epoch {_day(time[at + 1])} {what} (after {_day(time[at])}), "
            "expected increasing times: use series.sortby('time').drop_duplicates('time')"
        )
        raise InputError(msg)
    return time


def place_of(series: xr.Dataset) -> tuple[str, ...]:
    """Dimensions of place of the displacement; none for a single series."""
    return () if series["displacement"].dims == ("time",) else schema.spatial_dims(series["displacement"])


def linear_design(time: Dates, *, acceleration: bool, seasonal: bool, argument: str = "series") -> Design:
    """Intercept, time from the middle of the epochs, half its square, sine and cosine of the year."""
    years = to_elapsed(time)
    years = years - 0.5 * (years[0] + years[-1])
    columns = [np.ones_like(years), years]
    if acceleration:
        columns.append(0.5 * years**2)
    if seasonal:
        angle = 2 * np.pi * to_elapsed(time, origin=PHASE_ORIGIN)
        columns += [np.sin(angle), np.cos(angle)]
    return orthonormal(np.stack(columns, axis=1), time, argument=argument)


def orthonormal(matrix: Float64, time: Dates, *, argument: str) -> Design:
    """Factor a design matrix, refusing one that the epochs do not determine."""
    n, p = matrix.shape
    if n < p + 1:
        msg = f"{argument} has {n} epochs between {_day(time[0])} and {_day(time[-1])}, but {p} parameters need {p + 1}"
        raise InputError(msg)
    basis, triangle = np.linalg.qr(matrix)
    smallest = float(np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0), compute_uv=False)[-1])
    if smallest < _RANK:
        span = float((time[-1] - time[0]) / np.timedelta64(1, "D")) / DAYS_PER_YEAR
        msg = (
            f"{argument}: {n} epochs over {span:.2f} years do not tell the {p} terms of the model apart: "
            "use fewer terms or a longer series"
        )
        raise InputError(msg)
    return Design(np.ascontiguousarray(basis), np.ascontiguousarray(np.linalg.inv(triangle)))


def _day(date: np.datetime64) -> str:
    return str(date.astype("M8[D]"))
