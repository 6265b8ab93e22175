"""Stabilisation of every place of a map, against closed forms and repeated simulations."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from subsidence import simulate
from subsidence.errors import InputError
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._stabilisation import stabilisation_time
from subsidence.models import Logistic, Seasonal, Weibull
from subsidence.schema import STABILISATION, Status

ETA, LAM = np.array([0.5, 0.9, 1.6]), np.array([2.5, 1.8, 2.2])


def fits_of(model, params, **options):
    series, _ = simulate.settlement_series(model, params, **options)
    return fit_map(model, series)


def test_time_of_a_fraction_where_there_is_no_noise():
    found = stabilisation_time(fits_of(Weibull(), {"w_m": -0.2, "eta": ETA, "lam": LAM}, noise_std=0.0), fraction=0.9)
    expected = (-np.log(0.1) / ETA) ** (1 / LAM)
    np.testing.assert_allclose(found.stabilisation_duration, expected, rtol=1e-5)
    days = (found.stabilisation_date.values - np.datetime64("2018-01-06")) / np.timedelta64(1, "D")
    np.testing.assert_allclose(days, 365.25 * expected, rtol=1e-5)
    STABILISATION.check(found)


@pytest.mark.parametrize("criterion", [{"fraction": 0.8}, {"velocity": 0.05}])
def test_the_standard_deviation_is_honest(criterion):
    params = {"b": -0.1, "a": 40.0, "c": 4.0}
    fits = fits_of(Logistic(), params, points=400, noise_std=0.002, seed=3)
    found = stabilisation_time(fits, **criterion)
    truth = Logistic().stabilisation_time(params, **criterion).value
    normal = (found.stabilisation_duration - truth) / found.stabilisation_std
    assert abs(float(normal.mean())) < 0.25
    assert float(normal.std()) == pytest.approx(1.0, abs=0.12)


def test_units_of_time_do_not_matter():
    params = {"w_m": -0.2, "eta": 0.9, "lam": 2.2}
    years = fits_of(Weibull(), params, noise_std=0.001)
    series, _ = simulate.settlement_series(Weibull(), params, noise_std=0.001)
    days = fit_map(Weibull("day"), series)
    for criterion in ({"fraction": 0.9}, {"velocity": 0.01}):
        a, b = (stabilisation_time(fits, **criterion) for fits in (years, days))
        np.testing.assert_allclose(a.stabilisation_duration, b.stabilisation_duration, rtol=1e-4)
        np.testing.assert_allclose(a.stabilisation_std, b.stabilisation_std, rtol=1e-2)


def test_the_settling_term_of_a_sum_counts():
    model = Seasonal() + Weibull()
    params = {"w_m": -0.2, "eta": 0.9, "lam": 2.2, "sine": 0.004, "cosine": -0.002}
    found = stabilisation_time(fits_of(model, params, noise_std=0.0), fraction=0.9)
    assert found.stabilisation_duration.item() == pytest.approx((-np.log(0.1) / 0.9) ** (1 / 2.2), rel=1e-4)


def test_what_is_not_known_is_nan_and_what_never_comes_is_infinite():
    fits = fits_of(Weibull(), {"w_m": -0.2, "eta": ETA, "lam": LAM})
    flagged = fits.assign(status=fits.status.copy(data=[Status.NOT_IDENTIFIABLE, 0, 0]))
    found = stabilisation_time(flagged)
    assert np.isnan(found.stabilisation_duration[0])
    assert np.isnat(found.stabilisation_date[0])
    assert np.isfinite(found.stabilisation_duration[1:]).all()


def test_raster_and_points_and_one_place_agree():
    series, _ = simulate.settlement_series(Weibull(), {"w_m": -0.2, "eta": np.repeat(ETA, 2), "lam": 2.2})
    points = stabilisation_time(fit_map(Weibull(), series))
    raster = xr.Dataset(
        {"displacement": (("time", "y", "x"), series.displacement.values.reshape(-1, 2, 3))},
        {"time": series.time, "y": [0.0, 1.0], "x": [0.0, 1.0, 2.0]},
        series.attrs,
    )
    on_raster = stabilisation_time(fit_map(Weibull(), raster))
    assert on_raster.stabilisation_duration.dims == ("y", "x")
    np.testing.assert_array_equal(on_raster.stabilisation_std.values.ravel(), points.stabilisation_std.values)
    one = stabilisation_time(fit_map(Weibull(), series.isel(point=2)))
    assert one.stabilisation_duration.item() == pytest.approx(points.stabilisation_duration[2].item(), rel=1e-9)


def test_bad_input():
    fits = fits_of(Weibull(), {"w_m": -0.2, "eta": 0.9, "lam": 2.2})
    with pytest.raises(InputError, match="fraction must lie between 0 and 1, got 2"):
        stabilisation_time(fits, fraction=2.0)
    with pytest.raises(InputError, match="have the attribute 'model_spec'"):
        stabilisation_time(fits.drop_attrs())
