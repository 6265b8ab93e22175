"""Two sensors over a gap: the datum shift, vertical motion, and what the first foretells of the second."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from subsidence import simulate
from subsidence.errors import InputError
from subsidence.fitting._hindcast import hindcast
from subsidence.fitting._join import join_series
from subsidence.models import Logistic, Weibull
from subsidence.schema import HINDCAST, SERIES

PARAMS = {"b": -0.09, "a": 30.0, "c": 2.6}


def days(first, last, step):
    return np.arange(np.datetime64(first, "ns"), np.datetime64(last, "ns"), np.timedelta64(step, "D"))


EARLY, LATE = days("2008-01-01", "2011-02-01", 46), days("2015-06-15", "2018-09-15", 12)


def sensors(points=1, *, seed=0, noise=(0.003, 0.0015), incidence=(38.7, 33.9), datum=0.03, params=PARAMS):
    """PALSAR and Sentinel-1 along their lines of sight; the second's datum is `datum` (up) above the first's."""
    up, _ = simulate.settlement_series(
        Logistic(), params, time=np.concatenate([EARLY, LATE]), points=points, noise_std=0.0
    )
    random = np.random.default_rng(seed)
    found = []
    for part, std, angle, shift in (
        (up.isel(time=slice(0, EARLY.size)), noise[0], incidence[0], 0.0),
        (up.isel(time=slice(EARLY.size, None)), noise[1], incidence[1], datum),
    ):
        los = (part.displacement + shift) * np.cos(np.deg2rad(angle))
        los = los + random.normal(0, std, los.shape)
        found.append(part.assign(displacement=los).assign_coords(incidence=angle).assign_attrs(component="los"))
    return found


def test_the_datum_shift_is_recovered_and_its_error_is_honest():
    joined = join_series(*sensors(300))
    normal = (joined.datum_shift - 0.03) / joined.datum_shift_std
    assert abs(float(normal.mean())) < 0.2
    assert float(normal.std()) == pytest.approx(1.0, abs=0.12)
    assert joined.attrs["component"] == "up"
    assert joined.sizes["time"] == EARLY.size + LATE.size
    assert joined.sensor.values.tolist() == [0] * EARLY.size + [1] * LATE.size
    SERIES.check(joined)
    std = joined.displacement_std.median("point")
    assert float(std[0]) == pytest.approx(0.003 / np.cos(np.deg2rad(38.7)), rel=0.1)
    assert float(std[-1]) == pytest.approx(0.0015 / np.cos(np.deg2rad(33.9)), rel=0.1)


def test_without_noise_the_joined_series_is_the_truth():
    first, second = sensors(noise=(0.0, 0.0))
    joined = join_series(first, second)
    t = (joined.time.values - EARLY[0]) / np.timedelta64(1, "D") / 365.25
    expected = -0.09 / (1 + 30.0 * np.exp(-2.6 * t))
    np.testing.assert_allclose(joined.displacement.values[:, 0], expected, atol=2e-6)


def test_incidence_may_differ_by_place_and_vertical_series_stay():
    first, second = sensors(4, noise=(0.0, 0.0))
    angles = xr.DataArray([30.0, 33.0, 36.0, 39.0], dims="point")
    slanted = second.assign(
        displacement=second.displacement / np.cos(np.deg2rad(33.9)) * np.cos(np.deg2rad(angles))
    ).assign_coords(incidence=angles)
    a, b = join_series(first, second), join_series(first, slanted)
    np.testing.assert_allclose(a.displacement, b.displacement.transpose(*a.displacement.dims), atol=1e-6)
    up = first.assign(displacement=first.displacement / np.cos(np.deg2rad(38.7))).assign_attrs(component="up")
    c = join_series(up, second)
    np.testing.assert_allclose(a.displacement, c.displacement, atol=1e-6)
    unit_vector = second.drop_vars("incidence").assign_coords(los_up=np.cos(np.deg2rad(33.9)))
    np.testing.assert_allclose(join_series(first, unit_vector).displacement, a.displacement, atol=1e-9)


def test_missing_epochs_and_one_place():
    first, second = sensors(2)
    gaps = second.assign(displacement=second.displacement.copy())
    gaps.displacement[5:9, 1] = np.nan
    joined = join_series(first, gaps)
    assert np.isnan(joined.displacement[EARLY.size + 5 : EARLY.size + 9, 1]).all()
    one = join_series(first.isel(point=1), gaps.isel(point=1))
    np.testing.assert_allclose(one.displacement, joined.displacement.isel(point=1), atol=1e-9)


def test_hindcast_band_covers_what_the_second_sensor_sees():
    covered = [
        float(hindcast(*sensors(100, seed=seed, noise=(0.002, 0.002))).forecast_coverage.mean()) for seed in (1, 2)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_hindcast_numbers():
    held = hindcast(*sensors(50, noise=(0.002, 0.001)))
    HINDCAST.check(held)
    np.testing.assert_allclose(held.misfit, held.displacement - held.predicted)
    np.testing.assert_allclose(held.misfit.mean("time"), 0.0, atol=1e-12)
    np.testing.assert_allclose(held.misfit_rmse, np.sqrt((held.misfit**2).mean("time")))
    np.testing.assert_allclose(held.largest_misfit, abs(held.misfit).max("time"))
    np.testing.assert_array_equal(held.within_tolerance, held.largest_misfit <= 0.004)
    normal = (held.datum_shift - 0.03) / held.datum_shift_std
    assert 0.7 < float(normal.std()) < 1.4
    assert abs(float(normal.mean())) < 0.5


def test_a_second_sensor_that_sees_more_motion_is_told():
    first, second = sensors(1, noise=(0.001, 0.001))
    again = second.assign(displacement=second.displacement - 0.01 * np.linspace(0, 3, LATE.size)[:, None])
    held = hindcast(first, again)
    assert not bool(held.within_tolerance.item())
    assert held.forecast_coverage.item() < 0.5
    assert bool(hindcast(first, second).within_tolerance.item())


def test_a_curve_that_is_not_identifiable_has_an_infinite_band():
    first, second = sensors(1, noise=(0.001, 0.001), params={"b": -5.0, "a": 1e4, "c": 1.2})
    held = hindcast(first, second)
    assert np.isposinf(held.upper).all()
    assert np.isneginf(held.lower).all()
    assert held.forecast_coverage.item() == 1.0


def test_another_model():
    first, second = sensors(1, noise=(0.0005, 0.0005))
    assert "Weibull" in join_series(first, second, model=Weibull("month")).attrs["joined_by"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: (b, a), "second must begin after first ends, got 2008-01-01 and 2018-09-0"),
        (lambda a, b: (a.drop_vars("incidence"), b), "first is along the line of sight and has neither"),
        (lambda a, b: (a, b.isel(point=slice(1))), "same places, got"),
        (
            lambda a, b: (a.assign_coords(x=("point", [0.0, 9.0])), b.assign_coords(x=("point", [0.0, 8.0]))),
            "up to 1 m",
        ),
        (lambda a, b: (a.assign_attrs(component="east"), b), "got component 'east'"),
        (lambda a, b: (a.isel(time=slice(None, None, -1)), b), "out of order"),
        (lambda a, b: (a.assign_coords(incidence=89.0), b), "too flat for vertical"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message):
        join_series(*change(*sensors(2)))


def test_bad_options():
    first, second = sensors(1)
    with pytest.raises(InputError, match="tolerance must be above zero"):
        hindcast(first, second, tolerance=0.0)
    with pytest.raises(InputError, match="level must lie between 0 and 1, got 95"):
        hindcast(first, second, level=95)
