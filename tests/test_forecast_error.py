"""Forecasts from several origins: what they miss, against formulas written here and against truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import models, schema, simulate
from subsidence.errors import InputError
from subsidence.fitting import _forecast
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._forecast import forecast_error
from subsidence.fitting._predict import predict

WEIBULL = models.Weibull()
TIME = np.datetime64("2018-01-06", "ns") + np.arange(80) * np.timedelta64(12, "D")
DAYS = np.arange(80) * 12.0
PARAMS = {"w_m": -0.2, "eta": 1.2, "lam": 2.5}
NOISE = 0.002


@pytest.fixture(scope="module")
def series():
    return simulate.settlement_series(WEIBULL, PARAMS, points=4, seed=2, time=TIME, noise_std=NOISE)[0]


def one(values):
    return xr.Dataset({"displacement": ("time", np.asarray(values, float))}, {"time": TIME})


def line(t, y, ahead):
    """Least squares by the normal equations."""
    known = np.isfinite(y)
    return np.polynomial.Polynomial.fit(t[known], y[known], 1)(ahead)


# What is foretold


def test_errors_are_those_of_a_fit_of_the_epochs_before(series):
    found = forecast_error(WEIBULL, series, origins=(0.5, 0.75))
    data = series.displacement.values
    for number, start in enumerate((40, 60)):
        fits = fit_map(WEIBULL, series.isel(time=slice(0, start)))
        ahead = predict(fits, TIME[start:], kind="observation")
        miss = ahead.displacement.values - data[start:]
        inside = (data[start:] >= ahead.lower.values) & (data[start:] <= ahead.upper.values)
        own = found.isel(origin=number).sel(forecaster="model")
        np.testing.assert_allclose(own.forecast_rmse, np.sqrt((miss**2).mean(0)))
        np.testing.assert_allclose(own.forecast_bias, miss.mean(0), atol=1e-12)
        np.testing.assert_allclose(own.forecast_coverage, inside.mean(0))
        assert own.forecast_count.values.tolist() == [80 - start] * 4
    np.testing.assert_array_equal(found.origin.values, TIME[[40, 60]])


def test_the_simple_forecasts(series):
    data = series.displacement.values.copy()
    data[[38, 39, 45], 1] = np.nan
    holed = series.assign(displacement=(("time", "point"), data))
    found = forecast_error(WEIBULL, holed, origins=[0.5]).isel(origin=0)
    for place in range(4):
        past, future = data[:40, place], data[40:, place]
        year = DAYS[:40] >= DAYS[40] - 365.25
        expected = {
            "persistence": np.full(40, past[np.isfinite(past)][-1]),
            "trend": line(DAYS[:40], past, DAYS[40:]),
            "last_year_trend": line(DAYS[:40][year], past[year], DAYS[40:]),
        }
        for name, values in expected.items():
            own = found.sel(forecaster=name).isel(point=place)
            np.testing.assert_allclose(own.forecast_rmse, np.sqrt(np.nanmean((values - future) ** 2)), rtol=1e-9)
            np.testing.assert_allclose(own.forecast_bias, np.nanmean(values - future), rtol=1e-9)
    assert found.forecast_count.values.tolist() == [40, 39, 40, 40]
    assert found.forecaster.values.tolist() == ["model", "persistence", "trend", "last_year_trend"]


def test_a_line_is_foretold_by_a_line_and_a_step_by_its_last_value():
    lines = one(-0.1 * DAYS / 365.25 - 0.01)
    found = forecast_error(WEIBULL, lines, origins=[0.6]).isel(origin=0)
    assert found.forecast_rmse.sel(forecaster="trend") < 1e-12
    assert found.forecast_rmse.sel(forecaster="last_year_trend") < 1e-12
    # 32 epochs, the first 12 days after the last value: 12, 24, ... 384 days of motion missed, upwards
    np.testing.assert_allclose(found.forecast_bias.sel(forecaster="persistence"), 0.1 / 365.25 * 12 * 33 / 2)
    step = one(np.where(np.arange(80) < 30, 0.0, -0.1) - 0.001 * np.sin(DAYS))
    found = forecast_error(WEIBULL, step, origins=[0.9]).isel(origin=0)
    assert found.forecast_rmse.idxmin("forecaster") != "trend"


def test_truth_is_foretold_to_within_the_noise(series):
    found = forecast_error(WEIBULL, series, origins=(0.6, 0.7, 0.8))
    best = found.sel(forecaster="model")
    assert float(best.forecast_rmse.mean()) < 1.25 * NOISE
    assert float(best.forecast_rmse.min()) > 0.6 * NOISE  # never better than the noise of the epochs foretold
    assert (abs(best.forecast_bias) < 2.5 * NOISE).all()
    assert 0.88 < float(found.forecast_coverage.mean()) <= 1.0
    others = found.forecast_rmse.drop_sel(forecaster="model")
    assert (others.isel(origin=0) > best.forecast_rmse.isel(origin=0)).all()


def test_bands_hold_observations_as_often_as_they_say():
    many = simulate.settlement_series(WEIBULL, PARAMS, points=60, seed=7, time=TIME, noise_std=NOISE)[0]
    wide = forecast_error(WEIBULL, many, origins=[0.7], level=0.95).forecast_coverage.mean()
    narrow = forecast_error(WEIBULL, many, origins=[0.7], level=0.5).forecast_coverage.mean()
    # errors of one place go together, so the share of 60 places has a standard error of some 2 %
    assert 0.90 < float(wide) < 0.99
    assert 0.42 < float(narrow) < 0.58


# Never a look ahead


@pytest.mark.parametrize("model", [WEIBULL, WEIBULL + models.Seasonal()], ids=["one", "sum"])
def test_what_comes_after_the_origin_is_never_seen(series, model):
    before = forecast_error(model, series.isel(point=[0]), origins=["2019-06-30"])
    start = int(np.searchsorted(TIME, np.datetime64("2019-06-30")))
    changed = series.isel(point=[0]).copy(deep=True)
    changed.displacement[start:] -= 0.5  # a collapse on the very day of the origin
    after = forecast_error(model, changed, origins=["2019-06-30"])
    # The forecasts are the same to the bit: every error is half a metre more.
    np.testing.assert_allclose(after.forecast_bias - before.forecast_bias, 0.5, rtol=0, atol=1e-12)
    assert (after.forecast_coverage == 0).all()
    np.testing.assert_array_equal(after.origin, TIME[[start]])


def test_the_fit_is_given_no_epoch_of_the_forecast(series, monkeypatch):
    given = []

    def spy(model, part, **options):
        given.append((part.time.values[-1], options["origin"]))
        return fit_map(model, part, **options)

    monkeypatch.setattr(_forecast, "fit_map", spy)
    found = forecast_error(WEIBULL, series, origins=(0.5, 0.7), horizon=np.timedelta64(60, "D"))
    assert [last < start for (last, _), start in zip(given, found.origin.values, strict=True)] == [True, True]
    assert {first for _, first in given} == {TIME[0]}


@settings(max_examples=8, deadline=None)
@given(st.integers(30, 78), st.integers(0, 5), st.floats(-1, 1))
def test_later_epochs_change_no_forecast(start, later, amount):
    series = simulate.settlement_series(WEIBULL, PARAMS, points=1, seed=2, time=TIME, noise_std=NOISE)[0]
    changed = series.copy(deep=True)
    first = min(start + later, 79)
    changed.displacement[first:] += amount
    horizon = np.timedelta64(12 * (first - start), "D") if first > start else np.timedelta64(12, "D")
    same, moved = (forecast_error(WEIBULL, s, origins=TIME[[start]], horizon=horizon) for s in (series, changed))
    shift = 0.0 if first > start else -amount
    np.testing.assert_allclose(moved.forecast_bias - same.forecast_bias, shift, atol=1e-12)


# Origins and horizons


def test_origins_as_shares_and_as_dates_are_the_same(series):
    shares = forecast_error(WEIBULL, series, origins=(0.5, 0.75))
    dates = forecast_error(WEIBULL, series, origins=TIME[[40, 60]])
    words = forecast_error(WEIBULL, series, origins=[str(date.astype("M8[D]")) for date in TIME[[40, 60]]])
    xr.testing.assert_identical(shares, dates)
    xr.testing.assert_identical(shares, words)


@pytest.mark.parametrize(("days", "count"), [(1, 1), (12, 1), (13, 2), (120, 10), (100_000, 40)])
def test_the_horizon_is_a_time(series, days, count):
    found = forecast_error(WEIBULL, series.isel(point=[0]), origins=[0.5], horizon=np.timedelta64(days, "D"))
    assert found.forecast_count.item() == count
    assert found.attrs["horizon"] == f"{days:g} days"


def test_options_reach_the_fit(series):
    wild = series.isel(point=[0]).copy(deep=True)
    wild.displacement[[38, 42, 46]] += 0.1
    plain = forecast_error(WEIBULL, wild, origins=[0.6])
    robust = forecast_error(WEIBULL, wild, origins=[0.6], loss="huber")
    assert robust.forecast_rmse.values[0].item() < 0.5 * plain.forecast_rmse.values[0].item()
    std = xr.full_like(wild.displacement, NOISE)
    std[[38, 42, 46]] = 1.0
    weighted = forecast_error(WEIBULL, wild.assign(displacement_std=std), origins=[0.6], weights="displacement_std")
    assert weighted.forecast_rmse.values[0].item() < 1.5 * NOISE
    same = forecast_error(WEIBULL, wild, origins=[0.6], weights=1 / std)
    xr.testing.assert_allclose(same, weighted)


# Shapes and gaps


def test_rasters_and_single_places(series):
    points = forecast_error(WEIBULL, series, origins=[0.6])
    grid = xr.Dataset(
        {"displacement": (("time", "y", "x"), series.displacement.values.reshape(-1, 2, 2))}, {"time": TIME}
    )
    found = forecast_error(WEIBULL, grid, origins=[0.6])
    assert found.forecast_rmse.dims == ("forecaster", "origin", "y", "x")
    np.testing.assert_allclose(found.forecast_rmse.values.reshape(4, 1, 4), points.forecast_rmse.values, rtol=1e-6)
    alone = forecast_error(WEIBULL, series.isel(point=2), origins=[0.6])
    assert alone.forecast_coverage.dims == ("origin",)
    np.testing.assert_allclose(alone.forecast_rmse, points.forecast_rmse.isel(point=2), rtol=1e-6)


def test_places_without_data_have_no_error(series):
    holed = series.copy(deep=True)
    holed.displacement[:, 0] = np.nan
    holed.displacement[:46, 1] = np.nan  # two values are left to fit, too few for a line that is worth its name
    holed.displacement[48:, 2] = np.nan
    found = forecast_error(WEIBULL, holed, origins=[0.6]).isel(origin=0)
    assert np.isnan(found.forecast_rmse.sel(forecaster="model")).values.tolist() == [True, True, True, False]
    assert np.isnan(found.forecast_rmse.sel(forecaster="persistence")).values.tolist() == [True, False, True, False]
    assert np.isnan(found.forecast_rmse.sel(forecaster="trend")).values.tolist() == [True, True, True, False]
    assert np.isnan(found.forecast_coverage).values.tolist() == [True, True, True, False]
    assert found.forecast_count.values.tolist() == [0, 0, 0, 32]
    assert found.status.values[0] == schema.Status.NO_DATA


def test_the_result_says_what_it_is(series):
    found = forecast_error(WEIBULL, series, origins=[0.6], level=0.9)
    schema.FORECASTS.check(found)
    assert found.attrs["kind"] == "FORECASTS"
    assert found.attrs["level"] == 0.9
    assert found.attrs["horizon"] == "to the end"
    assert found.attrs["component"] == "up"
    assert "Weibull" in found.attrs["model"]
    assert found.forecast_rmse.attrs["units"] == found.forecast_bias.attrs["units"] == "m"
    assert "flag_meanings" in found.status.attrs


def test_nothing_given_is_changed(series):
    before = series.copy(deep=True)
    forecast_error(WEIBULL, series, origins=[0.7])
    xr.testing.assert_identical(series, before)


# Refusals


@pytest.mark.parametrize(
    ("origins", "said"),
    [
        ([], "origins must be a sequence"),
        ([[0.5]], "origins must be a sequence"),
        ([1.2], "origins must be shares of the epochs between 0 and 1, or dates"),
        ([0.0], "origins must be shares"),
        ([np.nan], "origins must be shares"),
        ([40], "origins must be shares"),
        (["half"], "origins must be shares of the epochs .0.6. or dates"),
        ([0.001], "must leave epochs to fit before and to foretell after, got 0.001"),
        (["2018-01-06"], "must leave epochs to fit before .* from 2018-01-06 to 2020-08-11"),
        (["2031-01-01"], "must leave epochs"),
        ([np.datetime64("NaT")], "must leave epochs"),
        ([0.5, 0.501], "origins must be different epochs"),
    ],
)
def test_origins_that_say_nothing_are_refused(series, origins, said):
    with pytest.raises(InputError, match=said):
        forecast_error(WEIBULL, series, origins=origins)


@pytest.mark.parametrize("horizon", [180, "1 year", np.timedelta64(0, "D"), np.timedelta64(1, "Y")])
def test_a_horizon_that_is_no_time_is_refused(series, horizon):
    with pytest.raises(InputError, match=r"horizon must be|unit must be"):
        forecast_error(WEIBULL, series, horizon=horizon)


def test_series_that_are_none_are_refused(series):
    with pytest.raises(InputError, match="not a valid SERIES"):
        forecast_error(WEIBULL, series.drop_vars("displacement"))
    with pytest.raises(InputError, match="increas"):
        forecast_error(WEIBULL, series.isel(time=slice(None, None, -1)))
