"""A SERIES of one place fitted by lmfit: dates, sign, weights, and the way back to dates."""

from __future__ import annotations

import pickle

import lmfit
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from subsidence import simulate
from subsidence.errors import InputError
from subsidence.fitting._series import fit_series
from subsidence.models import Weibull
from subsidence.models._result import Result

TRUTH = {"w_m": -0.2, "eta": 1.5, "lam": 2.5, "offset": 0.004}
DAY = np.timedelta64(1, "D")


def place(**options) -> xr.Dataset:
    return simulate.settlement_series(Weibull(), TRUTH, **{"seed": 2, **options})[0].isel(point=0)


def elapsed(series: xr.Dataset, days: float = 365.25) -> np.ndarray:
    return (series.time - series.time[0]).values / DAY / days


def weibull(t, w_m, eta, lam, offset):
    return offset + w_m * (1 - np.exp(-eta * t**lam))


def test_recovers_the_truth_with_its_sign():
    result = fit_series(Weibull(), place())
    for name, value in TRUTH.items():
        parameter = result.params[name]
        assert abs(parameter.value - value) < 3 * parameter.stderr, name
    assert result.params["w_m"].value < 0
    assert result.params["offset"].vary
    assert isinstance(result, (lmfit.model.ModelResult, Result))
    assert "time in year" in result.fit_report()


def test_errors_cover_the_truth_as_often_as_they_say():
    series, _ = simulate.settlement_series(Weibull(), TRUTH, points=200, seed=3)
    inside = 0
    for point in range(200):
        found = fit_series(Weibull(), series.isel(point=[point])).params["w_m"]
        inside += abs(found.value - TRUTH["w_m"]) < found.stderr
    assert inside / 200 == pytest.approx(0.68, abs=0.1)


def test_same_as_scipy_with_gaps_and_weights():
    series = place()
    rng = np.random.default_rng(4)
    std = rng.uniform(0.001, 0.004, series.sizes["time"])
    std[0], std[7] = 0.0, np.nan
    series["displacement_std"] = ("time", std)
    series["displacement"][[3, 20]] = np.nan
    used = np.isfinite(series.displacement.values) & (std > 0)
    t, y = elapsed(series)[used], series.displacement.values[used]
    expected, covariance = curve_fit(weibull, t, y, p0=list(TRUTH.values()), sigma=std[used])
    result = fit_series(Weibull(), series, weights="displacement_std")
    np.testing.assert_allclose([result.params[name].value for name in TRUTH], expected, rtol=1e-4)
    np.testing.assert_allclose([result.params[name].stderr for name in TRUTH], np.sqrt(np.diag(covariance)), rtol=1e-2)
    np.testing.assert_allclose(result.userkws["t"], t, rtol=1e-12)
    np.testing.assert_array_equal(result.dates(), series.time.values[used])


def test_weights_of_any_form_are_one_over_the_standard_deviation():
    series, _ = simulate.settlement_series(Weibull(), TRUTH, points=2, seed=2)
    std = np.random.default_rng(1).uniform(0.001, 0.004, (85, 2))
    std[0] = 0.0
    series["displacement_std"] = (("time", "point"), std)
    weights = (1 / series.displacement_std).where(series.displacement_std > 0, 0.0)
    named = fit_series(Weibull(), series.isel(point=1), weights="displacement_std")
    assert named.ndata == 84
    for one, same in ((weights.isel(point=1), series.isel(point=1)), (weights[:, [1]], series.isel(point=[1]))):
        assert fit_series(Weibull(), same, weights=one).best_values == named.best_values
    assert fit_series(Weibull(), series.isel(point=[1]), weights="displacement_std").best_values == named.best_values


def test_a_reference_epoch_without_error_weighs_nothing():
    series = place()
    series["displacement_std"] = ("time", np.full(series.sizes["time"], 0.002))
    series["displacement_std"][0] = 0.0
    wrong = series.copy(deep=True)
    wrong["displacement"][0] = 5.0
    a, b = (fit_series(Weibull(), data, weights="displacement_std") for data in (series, wrong))
    assert a.best_values == b.best_values
    assert a.ndata == series.sizes["time"] - 1


@pytest.mark.parametrize(
    ("unit", "days"), [("year", 365.25), ("month", 365.25 / 12), (np.timedelta64(152, "D"), 152.0)]
)
def test_times_are_in_the_models_unit_since_the_origin(unit, days):
    series = place()
    result = fit_series(Weibull(unit), series)
    np.testing.assert_allclose(result.userkws["t"], elapsed(series, days), rtol=1e-12)
    assert result.origin == series.time.values[0]
    later = np.array(["2019-03-01", "2030-01-01"], "M8[ns]")
    np.testing.assert_allclose(result.elapsed(later), (later - series.time.values[0]) / DAY / days, rtol=1e-12)
    np.testing.assert_array_equal(result.dates(result.elapsed(later)), later)
    assert result.eval(t=result.elapsed(later)).shape == (2,)
    assert result.params["lam"].value == pytest.approx(fit_series(Weibull(), series).params["lam"].value, rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(days=st.integers(-2000, 2000))
def test_another_origin_moves_the_onset_only(days):
    series = place(noise_std=0.0005)
    model = Weibull()
    model.set_param_hint("t0", value=-days / 365.25, vary=False)
    first = fit_series(Weibull(), series)
    moved = fit_series(model, series, origin=series.time.values[0] + days * DAY)
    for name in TRUTH:
        assert moved.params[name].value == pytest.approx(first.params[name].value, rel=1e-3, abs=1e-6)
    peaks = [result.dates(result.model.time_of_peak(result.params)) for result in (first, moved)]
    assert abs(peaks[1] - peaks[0]) < DAY


@pytest.mark.parametrize("origin", ["2018-01-01", np.datetime64("2018-01-01"), np.datetime64("2018-01-01", "s")])
def test_an_origin_is_any_date(origin):
    result = fit_series(Weibull(), place(), origin=origin)
    assert result.origin == np.datetime64("2018-01-01")
    assert result.userkws["t"][0] == pytest.approx(5 / 365.25)


def test_offset_that_the_model_holds_and_parameters_given():
    model = Weibull()
    model.set_param_hint("offset", value=0.004, vary=False)
    held = fit_series(model, place())
    assert held.var_names == ["w_m", "eta", "lam"]
    assert held.params["offset"].value == 0.004
    params = Weibull().make_params(w_m=-0.1, eta=1.0, lam=2.0, offset=0.0)
    params["lam"].set(value=2.5, vary=False)
    weighed = place().assign(displacement_std=("time", np.full(85, 0.002)))
    for weights in (None, "displacement_std"):
        given_start = fit_series(Weibull(), weighed, params=params, method="least_squares", weights=weights)
        assert given_start.params["lam"].value == 2.5
        assert given_start.method == "least_squares"


def test_places_of_size_one_and_the_dtype_do_not_matter():
    series, _ = simulate.settlement_series(Weibull(), TRUTH, points=3, seed=2)
    one = fit_series(Weibull(), series.isel(point=1))
    raster = series.isel(point=[1]).displacement.values[:, :, None]
    gridded = xr.Dataset({"displacement": (("time", "y", "x"), raster)}, {"time": series.time.values})
    for same in (series.isel(point=[1]), gridded, gridded.transpose("x", "time", "y"), gridded.chunk(time=10)):
        assert fit_series(Weibull(), same).best_values == one.best_values
    single = series.isel(point=1).astype("f4")
    assert fit_series(Weibull(), single).params["w_m"].value == pytest.approx(one.params["w_m"].value, rel=1e-4)


def test_nothing_is_changed_and_the_result_pickles():
    series = place()
    series["displacement"][4] = np.nan
    copy = series.copy(deep=True)
    result = fit_series(Weibull(), series)
    xr.testing.assert_identical(series, copy)
    again = pickle.loads(pickle.dumps(result))
    assert again.origin == result.origin
    assert again.best_values == result.best_values
    np.testing.assert_array_equal(again.dates(), series.time.values[np.isfinite(series.displacement)])


def test_a_fit_of_numbers_has_no_dates():
    series = place()
    result = Weibull().fit(series.displacement.values, t=elapsed(series))
    assert result.origin is None
    with pytest.raises(InputError, match="this fit has no dates"):
        result.dates()
    with pytest.raises(InputError, match="this fit has no dates"):
        result.elapsed(series.time)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda s: s.isel(time=[0, 2, 1, 3]), {}, "out of order"),
        (lambda s: s.isel(time=[0, 1, 1, 3]), {}, "twice"),
        (lambda s: s.displacement, {}, r"must be an xarray.Dataset \(SERIES\)"),
        (lambda s: s.drop_vars("time"), {}, "'time' is missing"),
        (lambda s: s.assign(displacement=s.displacement * np.nan), {}, "more than 4 finite values"),
        (lambda s: s, {"weights": "displacement_std"}, "must name a variable of standard deviations"),
        (
            lambda s: s.assign(displacement_std=0 * s.displacement),
            {"weights": "displacement_std"},
            "more than 4 finite",
        ),
        (lambda s: s, {"weights": np.ones(85)}, "weights must be a DataArray or the name of a variable"),
        (lambda s: s, {"weights": xr.DataArray(np.ones(84), dims="time")}, "weights must have the sizes of series"),
        (lambda s: s, {"weights": xr.DataArray(np.ones((85, 2)), dims=("time", "point"))}, "weights must have dims"),
        (lambda s: s, {"weights": xr.DataArray(-np.ones(85), dims="time")}, "not negative"),
        (lambda s: s, {"origin": "soon"}, "origin must be a date"),
        (lambda s: xr.concat([s, s, s], "point"), {}, "series must be of one place, got 3 along 'point'"),
    ],
)
def test_bad_input(change, options, message):
    with pytest.raises(InputError, match=message):
        fit_series(Weibull(), change(place()), **options)


def test_a_model_may_refuse_missing_values():
    series = place()
    series["displacement"][4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit_series(Weibull(nan_policy="raise"), series)
