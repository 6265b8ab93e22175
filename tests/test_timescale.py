"""Dates to elapsed time in any unit, and back."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from subsidence.errors import InputError
from subsidence.timescale import DAYS_PER_YEAR, from_elapsed, to_elapsed, unit_days

UNITS = ("year", "month", "week", "day", np.timedelta64(152, "D"), timedelta(hours=36))


@pytest.mark.parametrize(
    ("unit", "days"),
    [
        ("year", 365.25),
        ("month", 30.4375),
        ("week", 7.0),
        ("day", 1.0),
        (np.timedelta64(12, "D"), 12.0),
        (np.timedelta64(36, "h"), 1.5),
        (timedelta(hours=6), 0.25),
        (pd.Timedelta(days=152), 152.0),
    ],
)
def test_a_unit_has_its_length_in_days(unit, days):
    assert unit_days(unit) == days


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("fortnight", "unit must be one of 'year', 'month', 'week', 'day' or a timedelta, got 'fortnight'"),
        (365.25, r"got 365\.25: a bare number has no unit"),
        (1, "got 1: a bare number has no unit"),
        (np.timedelta64(1, "Y"), "timedelta of fixed length"),
        (np.timedelta64(3, "M"), "timedelta of fixed length"),
        (np.timedelta64(152), "timedelta of fixed length"),
        (timedelta(0), "positive length of time"),
        (np.timedelta64(-5, "D"), "positive length of time"),
        (np.timedelta64("NaT", "D"), "positive length of time"),
        (None, "got None"),
    ],
)
def test_a_unit_that_is_no_length_of_time_is_refused(unit, message):
    with pytest.raises(InputError, match=message):
        unit_days(unit)


@given(
    days=st.lists(st.dates(date(1990, 1, 1), date(2060, 1, 1)), min_size=1, max_size=20),
    origin=st.dates(date(1990, 1, 1), date(2060, 1, 1)),
    unit=st.sampled_from(UNITS),
)
def test_dates_come_back_from_elapsed_time_to_the_microsecond(days, origin, unit):
    dates = np.array(days, "datetime64[ns]")
    back = from_elapsed(
        to_elapsed(dates, origin=np.datetime64(origin), unit=unit), origin=np.datetime64(origin), unit=unit
    )
    assert np.abs(back - dates).max() <= np.timedelta64(1, "us")


@given(
    elapsed=st.lists(st.floats(-100, 100), min_size=1, max_size=20),
    unit=st.sampled_from(UNITS),
)
def test_elapsed_time_comes_back_from_dates(elapsed, unit):
    back = to_elapsed(from_elapsed(elapsed, origin="2018-01-06", unit=unit), origin="2018-01-06", unit=unit)
    np.testing.assert_allclose(back, elapsed, rtol=0, atol=1e-6 / 86400)


def test_a_year_is_365_25_days():
    dates = pd.date_range("2018-01-06", periods=5, freq="365D6h").to_numpy()
    np.testing.assert_allclose(to_elapsed(dates), range(5), atol=1e-12)
    assert DAYS_PER_YEAR == 365.25


def test_units_agree_with_each_other():
    dates = np.array(["2018-01-06", "2018-07-17"], "datetime64[D]")
    assert to_elapsed(dates, unit="day")[1] == 192
    np.testing.assert_allclose(to_elapsed(dates, unit="month"), 12 * to_elapsed(dates), rtol=1e-14)
    np.testing.assert_allclose(to_elapsed(dates, unit=np.timedelta64(96, "D")), [0, 2], rtol=1e-14)


@pytest.mark.parametrize("resolution", ["D", "h", "s", "ms", "us", "ns"])
def test_every_resolution_of_datetime64_gives_the_same(resolution):
    dates = np.array(["2018-01-06", "2018-07-17"], f"datetime64[{resolution}]")
    np.testing.assert_array_equal(to_elapsed(dates, unit="day"), [0, 192])


def test_labelled_dates_are_taken_and_the_shape_is_kept():
    dates = xr.DataArray(np.array([["2018-01-06", "2018-01-18"]] * 2, "datetime64[ns]"), dims=("a", "b"))
    np.testing.assert_array_equal(to_elapsed(dates, unit="day"), [[0, 12], [0, 12]])
    np.testing.assert_array_equal(to_elapsed(dates.variable, unit="day"), [[0, 12], [0, 12]])


def test_nat_becomes_nan_and_back():
    dates = np.array(["2018-01-06", "NaT"], "datetime64[ns]")
    elapsed = to_elapsed(dates)
    np.testing.assert_array_equal(np.isnan(elapsed), [False, True])
    np.testing.assert_array_equal(np.isnat(from_elapsed([0.0, np.nan, np.inf], origin="2018-01-06")), [0, 1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_elapsed(np.array(["2018-01-06"])), "dates must be datetime64, got dtype <U10"),
        (lambda: to_elapsed(np.array([20180106])), "dates must be datetime64, got dtype int64"),
        (lambda: to_elapsed(np.array([], "M8[ns]")), "dates is empty and origin is not given"),
        (lambda: to_elapsed(np.array(["NaT", "2018-01-06"], "M8[ns]")), "is NaT: there is no time zero"),
        (lambda: to_elapsed(np.array(["2018-01-06"], "M8[D]"), origin="yesterday"), "origin must be a date"),
        (
            lambda: to_elapsed(np.array(["1600-01-01"], "M8[D]"), origin="2018"),
            "between 1678 and 2261, got the years 1600",
        ),
        (lambda: to_elapsed(np.array(["2018-01-06"], "M8[D]"), origin="2500-01-01"), "origin must lie between 1678"),
        (lambda: from_elapsed([0.0, 1e6], origin="2018-01-06"), "elapsed must lead to dates between 1678 and 2261"),
        (lambda: from_elapsed([0.0], origin="NaT"), "is NaT"),
    ],
)
def test_what_is_no_date_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
