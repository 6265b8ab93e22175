"""datetime64 to years, months, days or any other unit of time, and back.

A year is 365.25 days and a month a twelfth of it, everywhere in this library.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError
from subsidence.typing import Dates

__all__ = ["DAYS_PER_YEAR", "from_elapsed", "to_elapsed", "unit_days"]

DAYS_PER_YEAR = 365.25
_NANOSECONDS_PER_DAY = 86_400_000_000_000
_UNITS = {"year": DAYS_PER_YEAR, "month": DAYS_PER_YEAR / 12, "week": 7.0, "day": 1.0}

#: "year", "month", "week", "day", or a timedelta (pandas' is one of the standard library's).
TimeUnit: TypeAlias = str | np.timedelta64 | timedelta


def unit_days(unit: TimeUnit) -> float:
    """
    Length of a unit of time in days.

    Parameters
    ----------
    unit
        "year" (365.25 days), "month" (a twelfth of it), "week", "day", or a timedelta such as
        ``np.timedelta64(152, "D")``.

    Returns
    -------
    float
        Days.

    Raises
    ------
    InputError
        When the unit is unknown, not positive, or not a time.

    Examples
    --------
    >>> unit_days("month"), unit_days(np.timedelta64(12, "D"))
    (30.4375, 12.0)
    """
    if isinstance(unit, str):
        if unit not in _UNITS:
            msg = f"unit must be one of {', '.join(map(repr, _UNITS))} or a timedelta, got {unit!r}"
            raise InputError(msg)
        return _UNITS[unit]
    if isinstance(unit, timedelta):
        days = unit / timedelta(days=1)
    elif isinstance(unit, np.timedelta64) and np.datetime_data(unit)[0] not in {"generic", "Y", "M"}:
        days = float(unit / np.timedelta64(1, "D"))
    else:
        msg = f"unit must be a name ('year') or a timedelta of fixed length, got {unit!r}: a bare number has no unit"
        raise InputError(msg)
    if not days > 0:
        msg = f"unit must be a positive length of time, got {unit!r}"
        raise InputError(msg)
    return days


def to_elapsed(
    dates: Dates, *, origin: np.datetime64[Any] | str | None = None, unit: TimeUnit = "year"
) -> npt.NDArray[np.float64]:
    """
    Time elapsed since an origin.

    Parameters
    ----------
    dates
        datetime64 of any resolution.
    origin
        Time zero; the first of `dates` when None.
    unit
        See :func:`unit_days`.

    Returns
    -------
    numpy.ndarray
        float64, of the shape of `dates`; NaN for NaT.

    Raises
    ------
    InputError
        When `dates` are not datetime64, lie outside 1678..2261, or are empty or begin with NaT while
        `origin` is not given; when `origin` is not a date.

    Examples
    --------
    >>> dates = np.array(["2018-01-06", "2019-01-06"], "datetime64[D]")
    >>> to_elapsed(dates, unit="day").tolist()
    [0.0, 365.0]
    """
    values = np.asarray(dates.values if isinstance(dates, (xr.DataArray, xr.Variable)) else dates)
    if values.dtype.kind != "M":
        msg = f"dates must be datetime64, got dtype {values.dtype}: use numpy.array(dates, 'datetime64[ns]')"
        raise InputError(msg)
    if origin is None:
        if values.size == 0:
            msg = "dates is empty and origin is not given: there is no time zero"
            raise InputError(msg)
        origin = values.ravel()[0]
    nanoseconds = _to_nanoseconds(values, "dates") - _checked_origin(origin)
    elapsed = nanoseconds.astype(np.int64) / (_NANOSECONDS_PER_DAY * unit_days(unit))
    return np.where(np.isnat(nanoseconds), np.nan, elapsed)


def from_elapsed(
    elapsed: npt.ArrayLike, *, origin: np.datetime64[Any] | str, unit: TimeUnit = "year"
) -> npt.NDArray[np.datetime64]:
    """
    Dates from time elapsed since an origin; the inverse of :func:`to_elapsed` to the microsecond.

    Parameters
    ----------
    elapsed
        Times since `origin` in `unit`.
    origin
        Time zero.
    unit
        See :func:`unit_days`.

    Returns
    -------
    numpy.ndarray
        datetime64[ns]; NaT for NaN.

    Raises
    ------
    InputError
        When `origin` is not a date, or a result would lie outside 1678..2261.

    Examples
    --------
    >>> from_elapsed([0.0, 1.0], origin="2018-01-06").astype("datetime64[D]").tolist()
    [datetime.date(2018, 1, 6), datetime.date(2019, 1, 6)]
    """
    values = np.asarray(elapsed, np.float64)
    finite = np.isfinite(values)
    start = _checked_origin(origin)
    microseconds = np.rint(np.where(finite, values, 0.0) * unit_days(unit) * (_NANOSECONDS_PER_DAY / 1000))
    if np.any(np.abs(microseconds * 1000 + float(start.astype(np.int64))) > 2.0**63 - 2.0**11):
        low, high = values[finite].min(), values[finite].max()
        msg = f"elapsed must lead to dates between 1678 and 2261, got {low:g} to {high:g} after {origin}"
        raise InputError(msg)
    dates = start + (microseconds.astype(np.int64) * 1000).astype("m8[ns]")
    return np.where(finite, dates, np.datetime64("NaT", "ns"))


def _checked_origin(origin: np.datetime64[Any] | str) -> Any:
    try:
        date = np.datetime64(origin)
    except (TypeError, ValueError) as error:
        msg = f"origin must be a date such as '2018-01-06', got {origin!r}"
        raise InputError(msg) from error
    if np.isnat(date):
        msg = "origin (or the first of dates, where it is not given) is NaT: there is no time zero"
        raise InputError(msg)
    return _to_nanoseconds(np.asarray(date), "origin")[()]


def _to_nanoseconds(dates: npt.NDArray[np.datetime64], argument: str) -> Any:
    """datetime64[ns], refused where nanoseconds overflow: numpy would wrap around without a word."""
    years = dates[~np.isnat(dates)].astype("M8[Y]").astype(np.int64) + 1970
    if years.size and (years.min() < 1678 or years.max() > 2261):
        msg = f"{argument} must lie between 1678 and 2261, got the years {years.min()} to {years.max()}"
        raise InputError(msg)
    return dates.astype("M8[ns]")
