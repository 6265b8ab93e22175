"""What a stack will tell: against Monte Carlo, published bounds, and the spectra of even and uneven dates."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from subsidence.errors import InputError
from subsidence.phase_model._planner import expected_precision

GEOMETRY = {"wavelength": 0.0555, "incidence": 39.0, "slant_range": 880e3}


def sentinel_like(epochs: int = 85, spread: float = 70.0, repeat: int = 12, seed: int = 20240501):
    """Dates and baselines of the arc search problem that peers were timed on: regular repeat, 17 % missing."""
    rng = np.random.default_rng(seed)
    slots = np.arange(1, round(epochs * 1.2) + 1)
    days = (np.sort(rng.choice(slots, epochs, replace=False)) - round(len(slots) / 2)) * repeat
    dates = np.datetime64("2017-01-06", "ns") + days * np.timedelta64(1, "D").astype("m8[ns]")
    return dates, rng.normal(0.0, spread, epochs)


def test_published_bound():
    plan = expected_precision(*sentinel_like(), 0.0555, 0.6)  # the geometry is Sentinel-1's unless given
    assert round(float(plan.velocity_std) * 1000, 3) == 0.292
    assert round(float(plan.residual_height_std), 2) == 2.05


@pytest.mark.parametrize("seasonal", [False, True])
def test_against_monte_carlo(seasonal):
    dates, baselines = sentinel_like(40, seed=5)
    plan = expected_precision(dates, baselines, sigma_phase=0.4, seasonal=seasonal, **GEOMETRY)
    years = (dates - dates[0]) / np.timedelta64(1, "D") / 365.25
    k = -4 * np.pi / 0.0555
    columns = [k * years, k * baselines / (880e3 * np.sin(np.deg2rad(39.0))), np.ones(40)]
    if seasonal:
        angle = 2 * np.pi * (dates - dates[0].astype("M8[Y]")) / np.timedelta64(1, "D") / 365.25
        columns[2:2] = [k * np.sin(angle), k * np.cos(angle)]
    truth = np.array([*[0.013, -7.0, 0.004, 0.002][: len(columns) - 1], 0.8])
    rng = np.random.default_rng(1)
    design = np.stack(columns, axis=1)
    observed = design @ truth + rng.normal(0, 0.4, (20_000, 40))
    found = np.linalg.lstsq(design, observed.T, rcond=None)[0] - truth[:, None]
    np.testing.assert_allclose(plan.velocity_std, found[0].std(), rtol=0.02)
    np.testing.assert_allclose(plan.residual_height_std, found[1].std(), rtol=0.02)
    np.testing.assert_allclose(plan.velocity_height_correlation, np.corrcoef(found)[0, 1], atol=0.02)
    if seasonal:
        np.testing.assert_allclose(plan.seasonal_sine_std, found[2].std(), rtol=0.02)
        np.testing.assert_allclose(plan.seasonal_cosine_std, found[3].std(), rtol=0.02)
    coherence = np.abs(np.exp(1j * rng.normal(0, 0.4, (2000, 4000))).mean(axis=1)).mean()
    np.testing.assert_allclose(plan.expected_coherence, coherence, atol=0.002)


def test_the_season_costs_precision():
    dates, baselines = sentinel_like(30)
    without = expected_precision(dates, baselines, sigma_phase=0.5, **GEOMETRY)
    with_season = expected_precision(dates, baselines, sigma_phase=0.5, seasonal=True, **GEOMETRY)
    assert float(with_season.velocity_std) > float(without.velocity_std)


def test_noise_scales_the_errors_and_gives_a_dimension():
    dates, baselines = sentinel_like()
    plan = expected_precision(dates, baselines, sigma_phase=[0.3, 0.6], **GEOMETRY)
    assert plan.velocity_std.dims == ("sigma_phase",)
    np.testing.assert_allclose(plan.velocity_std, float(plan.velocity_std[0]) * np.array([1, 2]))
    np.testing.assert_allclose(plan.expected_coherence, np.exp(-(np.array([0.3, 0.6]) ** 2) / 2))
    assert plan.noise_coherence.ndim == 0


def test_order_and_origin_do_not_matter():
    dates, baselines = sentinel_like()
    plan = expected_precision(dates, baselines, sigma_phase=0.6, **GEOMETRY)
    order = np.random.default_rng(0).permutation(85)
    other = expected_precision(dates[order], baselines[order] + 250.0, sigma_phase=0.6, **GEOMETRY)
    for name in plan.data_vars:
        np.testing.assert_allclose(other[name], plan[name], rtol=1e-9, atol=1e-12, err_msg=str(name))


def test_velocity_alone_is_the_slope_of_a_line():
    dates, _ = sentinel_like(20)
    plan = expected_precision(dates, None, wavelength=0.0311, sigma_phase=0.5)
    years = (dates - dates[0]) / np.timedelta64(1, "D") / 365.25
    slope = 0.5 * 0.0311 / (4 * np.pi) / np.sqrt(((years - years.mean()) ** 2).sum())
    np.testing.assert_allclose(plan.velocity_std, slope, rtol=1e-9)
    assert "residual_height_std" not in plan


def test_even_dates_alias_at_half_a_wavelength_per_interval():
    dates = np.datetime64("2018-01-06", "ns") + np.arange(50) * np.timedelta64(12, "D")
    plan = expected_precision(dates, None, wavelength=0.0555, sigma_phase=0.5, arc_length=250.0)
    interval = 12 / 365.25
    np.testing.assert_allclose(plan.velocity_ambiguity, 0.0555 / 2 / interval, rtol=1e-3)
    np.testing.assert_allclose(plan.side_lobe, 1.0, atol=1e-6)
    np.testing.assert_allclose(plan.max_velocity_difference, 0.0555 / 4 / interval)
    np.testing.assert_allclose(plan.max_velocity_gradient, float(plan.max_velocity_difference) * 4)
    np.testing.assert_allclose(plan.longest_gap, 12.0)
    assert int(plan.epoch_count) == 50


def test_a_gap_lowers_what_can_be_unwrapped_but_hardly_the_ambiguity():
    dates = np.datetime64("2018-01-06", "ns") + np.delete(np.arange(50), [20, 21, 22]) * np.timedelta64(12, "D")
    plan = expected_precision(dates, None, wavelength=0.0555, sigma_phase=0.5)
    np.testing.assert_allclose(plan.max_velocity_difference, 0.0555 / 4 / (48 / 365.25))
    np.testing.assert_allclose(plan.velocity_ambiguity, 0.0555 / 2 / (12 / 365.25), rtol=1e-3)


def test_the_side_lobe_is_where_the_spectrum_says():
    rng = np.random.default_rng(3)
    days = np.cumsum(rng.integers(6, 40, 25))
    dates = np.datetime64("2018-01-06", "ns") + days * np.timedelta64(1, "D").astype("m8[ns]")
    plan = expected_precision(dates, None, wavelength=0.0555, sigma_phase=0.5)
    turns = 2 * (days - days[0]) / 365.25 / 0.0555
    at = float(plan.velocity_ambiguity)
    assert abs(np.exp(2j * np.pi * turns * at).mean()) == pytest.approx(float(plan.side_lobe))
    fine = np.linspace(0.02, 0.0555 / 2 / (np.diff(days).min() / 365.25), 40_000)
    assert abs(np.exp(2j * np.pi * np.outer(fine, turns)).mean(axis=1)).max() <= float(plan.side_lobe) + 0.011
    assert 0.3 < float(plan.side_lobe) < 0.99


def test_noise_floor_is_that_of_searched_noise():
    """Largest coherence of pure noise over the box, 95 % quantile, by a dense search of it."""
    dates, baselines = sentinel_like(30, seed=2)
    box = {"velocity": (-0.1, 0.1), "residual_height": (-100.0, 100.0)}
    plan = expected_precision(dates, baselines, sigma_phase=0.5, **box, **GEOMETRY)
    years = (dates - dates[0]) / np.timedelta64(1, "D") / 365.25
    k = 4 * np.pi / 0.0555
    v, h = np.linspace(*box["velocity"], 121), np.linspace(*box["residual_height"], 61)
    by_height = np.exp(-1j * k * np.outer(h, baselines) / (880e3 * np.sin(np.deg2rad(39.0))))
    by_velocity = np.exp(-1j * k * np.outer(years, v))
    rng = np.random.default_rng(7)
    noise = np.exp(1j * rng.uniform(-np.pi, np.pi, (400, 30)))
    best = [abs((by_height * arc) @ by_velocity).max() / 30 for arc in noise]
    assert float(plan.noise_coherence) == pytest.approx(np.quantile(best, 0.95), abs=0.025)
    strict = expected_precision(dates, baselines, sigma_phase=0.5, level=0.001, **box, **GEOMETRY)
    narrow = expected_precision(dates, baselines, sigma_phase=0.5, velocity=(-0.01, 0.01), **GEOMETRY)
    assert float(strict.noise_coherence) > float(plan.noise_coherence) > float(narrow.noise_coherence)


def test_text_and_labelled_dates():
    dates, baselines = sentinel_like(20)
    plan = expected_precision(dates, baselines, sigma_phase=0.5, **GEOMETRY)
    text = [str(date.astype("M8[D]")) for date in dates]
    xr.testing.assert_identical(plan, expected_precision(text, baselines.tolist(), sigma_phase=0.5, **GEOMETRY))
    labelled = xr.DataArray(dates, dims="time")
    by_time = xr.DataArray(baselines, dims="time")
    xr.testing.assert_identical(plan, expected_precision(labelled, by_time, sigma_phase=0.5, **GEOMETRY))
    labelled_numbers = {name: xr.DataArray(value) for name, value in GEOMETRY.items()}
    xr.testing.assert_identical(plan, expected_precision(dates, baselines, sigma_phase=0.5, **labelled_numbers))
    of_dates = by_time.assign_coords(time=dates)
    xr.testing.assert_identical(plan, expected_precision(dates, of_dates, sigma_phase=0.5, **GEOMETRY))
    with pytest.raises(InputError, match="labelled with other dates"):
        expected_precision(dates, of_dates.isel(time=slice(None, None, -1)), sigma_phase=0.5, **GEOMETRY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dates": ["2018-01-06", "2018-01-18", "2018-01-30", "2018-02-11"]}, "at least 5"),
        ({"dates": ["2018-01-06"] * 20}, "20 times"),
        ({"dates": list(range(20))}, "must be a list of dates"),
        ({"dates": ["yesterday"] * 20}, "must be datetime64"),
        ({"dates": [f"201801{day:02d}" for day in range(1, 21)]}, "between 1678 and 2261"),
        ({"dates": xr.Dataset(coords={"time": np.zeros(20, "M8[ns]")})}, "must be datetime64"),
        ({"baselines": np.zeros(20)}, "baselines are all alike .* velocity alone"),
        ({"baselines": np.zeros(7)}, "baselines must be 20 finite numbers"),
        ({"baselines": np.full(20, np.nan)}, "baselines must be 20 finite numbers"),
        ({"baselines": np.arange(20) * 10.0}, "cannot tell the parameters apart"),
        ({"baselines": ["far"] * 20}, "baselines must be 20 finite numbers"),
        ({"wavelength": 5.55}, "wavelength must lie between"),
        ({"wavelength": None}, "wavelength must lie between"),
        ({"wavelength": "0.0555"}, "wavelength must lie between"),
        ({"sigma_phase": "low"}, "sigma_phase must be a positive number of radians"),
        ({"incidence": [30.0, 40.0]}, "incidence must lie between"),
        ({"incidence": "39"}, "incidence must lie between"),
        ({"sigma_phase": 0.0}, "sigma_phase must be a positive number of radians"),
        ({"sigma_phase": [[0.3]]}, "sigma_phase must be a positive number of radians"),
        ({"incidence": None}, "incidence must lie between"),
        ({"incidence": 0.68}, "looks like radians"),
        ({"slant_range": 880.0}, "slant_range must lie between"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"arc_length": 0.0}, "arc_length must lie"),
    ],
)
def test_wrong_input(change, message):
    days = np.datetime64("2018-01-06", "ns") + np.arange(20) * np.timedelta64(12, "D")
    given = {
        "dates": days,
        "baselines": np.random.default_rng(0).normal(0, 70, 20),
        "sigma_phase": 0.5,
        **GEOMETRY,
    }
    given |= change
    dates, baselines = given.pop("dates"), given.pop("baselines")
    with pytest.raises(InputError, match=message):
        expected_precision(dates, baselines, **given)


def test_too_many_unknowns():
    days = np.datetime64("2018-01-06", "ns") + np.arange(5) * np.timedelta64(12, "D")
    with pytest.raises(InputError, match="too few for 4 parameters"):
        expected_precision(days, [0.0, 50, -30, 20, 90], sigma_phase=0.5, seasonal=True, **GEOMETRY)
