"""What users do with fits and models before they use them: mask, reorder, put together, bound, add up."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from subsidence import (
    change_time_unit,
    compare,
    fit_map,
    fit_series,
    models,
    predict,
    predict_average,
    simulate,
    stabilisation_time,
)
from subsidence.errors import InputError, SchemaError

LATER = np.array(["2018-09-01", "2021-06-01"], "M8[ns]")


@pytest.fixture(scope="module")
def series():
    return simulate.settlement_series(
        models.Weibull(), {"w_m": np.linspace(-0.3, -0.1, 4), "eta": 1.5, "lam": 2.5}, seed=1
    )[0]


@pytest.fixture(scope="module")
def fits(series):
    return fit_map(models.Weibull(), series)


def test_the_order_of_parameters_does_not_matter(fits):
    expected, settled = predict(fits, LATER), stabilisation_time(fits)
    for other in (
        fits.isel(parameter=[4, 3, 2, 1, 0], parameter_2=[4, 3, 2, 1, 0]),
        fits.sortby("parameter"),
        fits.isel(parameter_2=[1, 0, 4, 2, 3]),
    ):
        xr.testing.assert_allclose(predict(other, LATER), expected)
        xr.testing.assert_allclose(stabilisation_time(other), settled)
        xr.testing.assert_allclose(predict(change_time_unit(other, "day"), LATER), expected, rtol=1e-6)


def test_missing_parameters_are_named(fits):
    chosen = fits.sel(parameter=["w_m", "eta", "lam"])
    for call in (lambda: predict(chosen, LATER), lambda: stabilisation_time(chosen)):
        with pytest.raises(InputError, match="must have the parameters w_m, eta, lam, t0, offset along 'parameter'"):
            call()


def test_a_mask_leaves_places_without_data(fits):
    mask = xr.DataArray([True, True, False, True], dims="point")
    ahead = predict(fits.where(mask), LATER)
    assert np.isnan(ahead.displacement[:, 2]).all()
    xr.testing.assert_allclose(ahead.displacement[:, 3], predict(fits, LATER).displacement[:, 3])
    assert np.isnan(stabilisation_time(fits.where(mask)).stabilisation_duration[2])
    assert np.isnan(compare({"weibull": fits.where(mask)}).rmse[0, 2])


def test_fits_from_other_dates_do_not_mix(series, fits):
    other = fit_map(models.Weibull(), series, origin="2017-01-01")
    both = xr.concat([fits, other], "point", coords="different", compat="equals")
    with pytest.raises(SchemaError, match="time_origin"):
        predict(both, LATER)
    without = fits.drop_vars("time_origin")
    del without.attrs["origin"]
    with pytest.raises(InputError, match="must say the date of t = 0"):
        predict(without, LATER)
    alike = xr.concat([fits, fits], "point", coords="different", compat="equals")
    assert predict(alike, LATER).sizes["point"] == 8


def test_fits_with_other_weights_are_not_compared(series, fits):
    weights = xr.DataArray(np.linspace(1, 900, 85), dims="time", coords={"time": series.time})
    weighted = fit_map(models.Logistic(), series, weights=weights)
    with pytest.raises(InputError, match="fits must agree in weights"):
        compare({"weibull": fits, "logistic": weighted})
    assert "weibull" in compare({"weibull": fit_map(models.Weibull(), series, weights=weights), "l": weighted}).model


def test_averages_are_of_the_same_places(series):
    named = series.assign_coords(point=[10, 11, 12, 13])
    one, two = fit_map(models.Weibull(), named), fit_map(models.Logistic(), named)
    table = compare({"a": one, "b": two})
    with pytest.raises(InputError, match="same places, got other values of 'point'"):
        predict_average({"a": one, "b": two.isel(point=[3, 2, 1, 0])}, LATER, table)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("lam", {"max": 1.5}),
        ("lam", {"max": 2.0}),
        ("eta", {"min": 3.0, "max": 5.0}),
        ("w_m", {"min": -0.1, "max": 0.0}),
        ("w_m", {"min": 0.0}),
        ("offset", {"min": 0.02}),
    ],
)
def test_a_bound_that_cuts_off_the_optimum_is_reached(series, name, bounds):
    model = models.Weibull()
    model.set_param_hint(name, **{**model.param_hints.get(name, {}), **bounds})
    one = series.isel(point=0)
    found = fit_series(model, one)
    rmse = np.sqrt(np.mean(found.residual**2))
    assert rmse == pytest.approx(fit_map(model, one).rmse.item(), rel=2e-2)


def test_a_value_held_outside_its_bounds_is_refused(series):
    model = models.Weibull()
    model.set_param_hint("lam", value=20, vary=False)
    for call in (lambda: fit_map(model, series), lambda: fit_series(model, series.isel(point=0))):
        with pytest.raises(InputError, match=r"'lam' holds it at 20, outside its bounds 0.3..8"):
            call()
    model = models.Weibull()
    model.set_param_hint("lambda", value=2)
    with pytest.raises(InputError, match="hint of 'lambda', which is no parameter"):
        fit_series(model, series.isel(point=0))


def test_sums_keep_hints():
    held = models.Weibull()
    held.set_param_hint("offset", value=0.0, vary=False)
    assert (held + models.Seasonal()).held()["offset"] == 0.0
    two = models.Weibull() + models.Seasonal()
    two.set_param_hint("lam", value=2.5, vary=False)
    assert (two + models.Step(at=1.0)).held()["lam"] == 2.5
    other = models.Seasonal()
    other.set_param_hint("offset", value=1.0, vary=False)
    with pytest.raises(InputError, match="share one offset, got two hints"):
        held + other
    tied = models.Weibull()
    tied.set_param_hint("lam", expr="2*eta")
    with pytest.raises(InputError, match="which a sum would lose"):
        tied + models.Seasonal()


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        ({"w_m": -0.2, "eta": -1.5, "lam": 2.5}, {}, "eta in params must be finite and above zero, got -1.5"),
        ({"w_m": np.inf, "eta": 1.5, "lam": 2.5}, {}, "w_m in params must be finite"),
        ({"w_m": -0.2, "eta": 1.5, "lam": 9.0}, {}, r"lam in params must be finite and within 0.3..8, got 9"),
        ({"w_m": [-0.2, -0.1], "eta": 1.5, "lam": 2.0}, {"points": 3}, "got 3 and 2"),
    ],
)
def test_simulated_parameters_are_possible(params, options, message):
    with pytest.raises(InputError, match=message):
        simulate.settlement_series(models.Weibull(), params, **options)
