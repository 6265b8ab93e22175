"""Atmosphere apart from motion: simulated motion stays, simulated atmosphere goes, weights are those of kriging."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import schema, simulate
from subsidence._kernels.kriging import EXPONENTIAL, GAUSSIAN, SPHERICAL, correlation, krige, weights
from subsidence.atmosphere import separate_atmosphere
from subsidence.atmosphere._motion import TimeFilter
from subsidence.atmosphere._variogram import Variogram, best_window, fit_variogram, shape
from subsidence.errors import InputError, SchemaError
from subsidence.series import add_atmospheric_variance, confidence_interval, estimate_velocity, set_reference

METHODS = ("kriging", "gaussian")
EXTENT = (4000.0, 4000.0)
AIR = simulate.Atmosphere(std=0.005)
#: Taken as it is, so that a test of something else does not fit one.
KNOWN = {"model": "exponential", "range": 1500.0, "sill": 25e-6, "nugget": 3e-6}


def scene(*, ref: int | None = 0, **options) -> tuple[xr.Dataset, xr.Dataset]:
    """Series with atmosphere and noise relative to point `ref`, and what went into it, relative too."""
    given = {"points": 400, "extent": EXTENT, "epochs": 60, "atmosphere": AIR, "noise_std": 0.3, "seed": 1}
    points, truth = simulate.point_scene(**(given | options))
    noise = -points.wavelength / (4 * np.pi) * truth.noise.astype(float)
    parts = xr.Dataset({"motion": truth.displacement, "air": truth.atmosphere, "noise": noise})
    if ref is not None:
        parts = parts - parts.isel(point=ref)
    series = truth[["displacement"]].assign(displacement=parts.motion + parts.air + parts.noise)
    series.attrs |= {"reference_point": ref} if ref is not None else {}
    return series, parts


def as_residuals(series: xr.Dataset, truth_velocity: np.ndarray) -> xr.Dataset:
    """RESIDUALS whose model holds that velocity and whose phases hold the rest."""
    origin = np.datetime64(series.attrs["reference_time"])
    years = (series.time.values - origin) / np.timedelta64(1, "D") / 365.25
    rest = series.displacement.values - np.outer(years, truth_velocity)
    phase = (-4 * np.pi / float(series.wavelength) * rest).astype(np.float32)
    made = series.drop_vars("displacement").assign(
        residual_phase=(("time", "point"), phase),
        velocity=("point", truth_velocity),
        residual_height=("point", np.arange(truth_velocity.size, dtype=float)),
        temporal_coherence=("point", np.full(truth_velocity.size, 0.9)),
        unclosed_triangles=("time", np.zeros(years.size, np.int64)),
    )
    return schema.RESIDUALS.stamp(made)


def rms(values) -> float:
    return float(np.sqrt(np.nanmean(np.asarray(values) ** 2)))


# Atmosphere goes


@pytest.mark.parametrize("method", METHODS)
def test_most_of_the_atmosphere_goes(method):
    series, truth = scene(points=800)
    found = separate_atmosphere(series, method=method)
    before, after = rms(series.displacement - truth.motion), rms(found.displacement - truth.motion)
    assert after < 0.45 * before
    assert rms(found.atmosphere - truth.air) < 0.45 * rms(truth.air)


def test_the_noise_of_a_point_stays_in_its_displacement():
    noise = np.full(400, 0.3)
    noise[100] = 2.0
    series, truth = scene(noise_std=noise)
    found = separate_atmosphere(series)
    error = found.displacement - truth.motion
    share = float((error * truth.noise).isel(point=100).sum() / (truth.noise**2).isel(point=100).sum())
    assert 0.6 < share < 1.05
    spread = estimate_velocity(found).rms_residual
    assert spread[100] > 2 * spread.median()


@pytest.mark.parametrize("method", METHODS)
def test_without_atmosphere_nothing_is_harmed(method):
    series, truth = scene(atmosphere=None, acceleration=-0.01, seasonal_amplitude=0.003)
    found = separate_atmosphere(series, method=method)
    assert rms(found.displacement - truth.motion) <= 1.01 * rms(truth.noise)
    assert rms(found.atmosphere) < 0.35 * rms(truth.noise)


def test_a_turbulent_reference_epoch_is_found():
    series, truth = scene(seed=3)
    rough = np.random.default_rng(0)
    x, y = series.x.values, series.y.values
    bumps = rough.normal(0, 1, (6, 3)) * [0.012, 1, 1]
    storm = sum(
        a * np.sin(p + 2 * np.pi * (b * x + c * y) / 6000 + k) for k, (a, b, c) in enumerate(bumps) for p in [k]
    )
    storm = storm - storm[0]
    origin = int(np.flatnonzero(series.time.values == np.datetime64(series.attrs["reference_time"]))[0])
    hit = series.displacement - storm  # what the reference epoch has too much, all others have too little
    hit[origin] = 0.0
    found = separate_atmosphere(series.assign(displacement=hit))
    calm = separate_atmosphere(series)
    others = np.arange(60) != origin
    added = (found.atmosphere - calm.atmosphere)[others].mean("time")
    assert rms(storm) > 0.01
    assert rms(added + storm) < 0.1 * rms(storm)
    before, after = (rms(d.displacement - truth.motion) for d in (calm, found))
    assert after**2 < before**2 + (0.1 * rms(storm)) ** 2


def test_any_one_turbulent_epoch_does_not_bend_the_motion_of_others():
    series, _ = scene(seed=5, points=300)
    x = series.x.values
    storm = 0.04 * (np.sin(x / 900) - np.sin(x[0] / 900))
    hit = series.displacement.copy()
    hit[50] += storm
    found, calm = separate_atmosphere(series.assign(displacement=hit)), separate_atmosphere(series)
    near = [48, 49, 51, 52]
    assert rms((found.displacement - calm.displacement)[near]) < 0.03 * rms(storm)
    assert rms((found.displacement - calm.displacement)[50]) < 0.15 * rms(storm)


# Motion stays


def smooth_shape(points: xr.Dataset) -> np.ndarray:
    x, y = points.x.values, points.y.values
    return np.exp(-((x - 2000) ** 2 + (y - 2000) ** 2) / 1200**2)


def survives(motion: np.ndarray, points: xr.Dataset, **options) -> float:
    """Share of a motion that is left in the displacement, by regression, in a scene with atmosphere."""
    series, _ = scene(ref=None, seed=2)
    parts = motion - motion[30]
    with_motion = series.assign(displacement=series.displacement + parts)
    found, base = separate_atmosphere(with_motion, **options), separate_atmosphere(series, **options)
    kept = (found.displacement - base.displacement).values
    return float((kept * parts).sum() / (parts**2).sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", ["everywhere", "bowl"])
@pytest.mark.parametrize("kind", ["acceleration", "seasonal", "levelling", "onset"])
def test_non_linear_motion_survives(kind, spread, method):
    points, _ = scene(ref=None, seed=2)
    years = (points.time.values - points.time.values[0]) / np.timedelta64(1, "D") / 365.25
    course = {
        "acceleration": -0.02 * years**2,
        "seasonal": 0.005 * np.cos(2 * np.pi * years - 1),
        "levelling": -0.03 * (1 - np.exp(-2 * years)),
        "onset": -0.03 * np.maximum(years - 0.9, 0),
    }[kind]
    where = smooth_shape(points) if spread == "bowl" else np.ones(400)
    assert survives(np.outer(course, where), points, method=method) > 0.95


def test_faster_motion_needs_a_shorter_window():
    points, _ = scene(ref=None, seed=2)
    years = (points.time.values - points.time.values[0]) / np.timedelta64(1, "D") / 365.25
    motion = np.outer(0.01 * np.sin(2 * np.pi * years / 0.7), smooth_shape(points))
    short, long = (survives(motion, points, temporal_window=days) for days in (90, 365))
    assert short > 0.9
    assert long < 0.5


def test_seasonal_motion_is_damped_only_when_that_is_asked_for():
    points, _ = scene(ref=None, seed=2)
    years = (points.time.values - points.time.values[0]) / np.timedelta64(1, "D") / 365.25
    motion = np.outer(0.005 * np.cos(2 * np.pi * years), smooth_shape(points))
    assert survives(motion, points, seasonal=False, temporal_window=365) < 0.8
    assert survives(motion, points, seasonal=True, temporal_window=365) > 0.99


def test_velocity_is_not_biased_and_gains():
    errors = []
    for seed in range(4):
        series, truth = scene(
            seed=seed, velocity=-0.02, bowl=simulate.Bowl(settlement=0.03, function="linear"), points=300
        )
        found = estimate_velocity(separate_atmosphere(series), seasonal=True)
        true = estimate_velocity(series.assign(displacement=truth.motion), seasonal=True).velocity
        plain = estimate_velocity(series, seasonal=True)
        errors.append(
            [rms(found.velocity - true), rms(plain.velocity - true), float((found.velocity - plain.velocity).std())]
        )
    kept, before, moved = np.mean(errors, axis=0)
    # what is linear in time stays: the separation neither adds to the velocity nor takes from it
    assert kept < 1.1 * before
    assert moved < 0.5 * before


def test_the_std_of_a_velocity_is_honest_with_the_atmosphere_in_it():
    alone, both = [], []
    for seed in range(8):
        series, _ = scene(seed=seed, points=200)
        found = separate_atmosphere(series)
        for shares, data in (
            (alone, found),
            (both, found.assign(displacement=found.displacement + found.atmosphere)),
        ):
            bounds = confidence_interval(estimate_velocity(data), level=0.68)
            inside = (bounds.velocity_lower <= 0) & (bounds.velocity_upper >= 0)
            shares.append(float(inside[1:].mean()))
    assert np.mean(both) == pytest.approx(0.68, abs=0.08)
    assert np.mean(alone) < 0.5  # what the notes warn of


# Kinds of input


def test_residuals_become_a_series():
    series, _ = scene(velocity=-0.03)
    velocity = np.random.default_rng(0).normal(-0.03, 0.001, 400)
    velocity[0] = 0.0  # the reference
    residuals = as_residuals(series, velocity)
    found = separate_atmosphere(residuals)
    schema.SERIES.check(found)
    assert found.attrs["kind"] == "SERIES"
    assert found.attrs["component"] == "los"
    assert found.displacement.dtype == found.atmosphere.dtype == np.float32
    assert "residual_phase" not in found
    assert "unclosed_triangles" not in found
    for name in ("velocity", "residual_height", "temporal_coherence"):
        np.testing.assert_array_equal(found[name], residuals[name])
    same = separate_atmosphere(series)
    np.testing.assert_allclose(found.displacement, same.displacement, atol=2e-6)
    np.testing.assert_allclose(found.displacement + found.atmosphere, series.displacement, atol=1e-6)


def test_the_whole_model_is_displacement():
    series, _ = scene(points=20, epochs=30, atmosphere=None, noise_std=0.0)
    temperature = 10 + 8 * np.sin(np.arange(30.0))
    residuals = as_residuals(series, np.full(20, 0.01)).assign(
        seasonal_sine=("point", np.full(20, 0.002)),
        seasonal_cosine=("point", np.full(20, -0.001)),
        thermal_expansion=("point", np.full(20, 1e-4)),
    )
    with pytest.raises(InputError, match="temperature"):
        separate_atmosphere(residuals, method=None)
    residuals = residuals.assign_coords(temperature=("time", temperature))
    found = separate_atmosphere(residuals, method=None)
    days = (series.time.values - np.datetime64("2018-01-01")) / np.timedelta64(1, "D") / 365.25
    expected = 0.002 * np.sin(2 * np.pi * days) - 0.001 * np.cos(2 * np.pi * days) + 1e-4 * temperature
    expected -= expected[15]
    np.testing.assert_allclose(found.displacement[:, 3] - series.displacement[:, 3], expected, atol=1e-6)
    assert found.attrs["atmosphere_method"] == "none"
    assert "atmosphere" not in found


@pytest.mark.parametrize("method", METHODS)
def test_reference_and_reference_epoch_stay_zero(method):
    series, _ = scene(ref=7)
    found = separate_atmosphere(series, method=method)
    origin = np.datetime64(found.attrs["reference_time"])
    for name in ("displacement", "atmosphere"):
        assert not found[name].isel(point=7).any()
        assert not found[name].sel(time=origin).any()
    np.testing.assert_allclose(found.displacement + found.atmosphere, series.displacement, atol=1e-15)


def test_the_reference_is_found_after_a_selection():
    series, _ = scene(ref=7)
    some = series.isel(point=slice(5, None))  # the attribute now names another point
    found = separate_atmosphere(some)
    assert not found.displacement.isel(point=2).any()
    assert found.displacement.isel(point=7).any()


def test_a_reference_area_must_be_named():
    series, _ = scene(ref=None)
    area = xr.DataArray(smooth_shape(series) > 0.8, dims="point")
    series = set_reference(series, area)
    with pytest.raises(InputError, match="reference="):
        separate_atmosphere(series)
    found = separate_atmosphere(series, reference=area)
    np.testing.assert_allclose(found.displacement.where(area).mean("point"), 0, atol=1e-15)


def test_parts_of_a_network_do_not_see_each_other():
    one, _ = scene(points=200, seed=1)
    two, _ = scene(points=150, seed=2)
    few, _ = scene(points=5, seed=3)
    join = [one, two, few]
    numbered = [d.assign(network_part=("point", np.full(d.sizes["point"], k))) for k, d in enumerate(join)]
    whole = xr.concat(numbered, "point", data_vars="minimal", coords="minimal", compat="override", join="override")
    whole.attrs = one.attrs
    found = separate_atmosphere(whole, variogram=KNOWN)
    pieces = [separate_atmosphere(d, variogram=KNOWN) for d in (one, two)]
    # the weights of epochs come from the largest part: the second differs by that alone
    np.testing.assert_allclose(found.displacement[:, :200], pieces[0].displacement, atol=1e-12)
    assert rms(found.displacement[:, 200:350] - pieces[1].displacement) < 0.05 * rms(pieces[1].atmosphere)
    assert not found.atmosphere[:, 350:].any()
    assert not found.displacement[:, [0, 200, 350]].any()


def test_old_estimates_of_a_series_are_left_out():
    series, _ = scene(points=50, epochs=30)
    found = separate_atmosphere(estimate_velocity(series, seasonal=True))
    assert not {"velocity", "velocity_std", "seasonal_amplitude"} & set(found.variables)
    assert "velocity_model" not in found.attrs
    again = estimate_velocity(found)
    assert np.isfinite(again.velocity).all()


# Grids


def grid_scene(rows: int = 24, columns: int = 30) -> tuple[xr.Dataset, xr.Dataset]:
    """The same series as a raster and as points."""
    x, y = np.arange(columns) * 100.0 + 5e5, 2e6 - np.arange(rows) * 80.0
    xx, yy = np.meshgrid(x - 5e5, 2e6 - y)
    points, _ = scene(points=rows * columns, positions=np.stack([xx.ravel(), yy.ravel()], -1), epochs=30)
    shape = (30, rows, columns)
    raster = xr.Dataset(
        {"displacement": (("time", "y", "x"), points.displacement.values.reshape(shape))},
        {"time": points.time.values, "x": x, "y": y},
        {"reference_row": 0, "reference_col": 0, "reference_time": points.attrs["reference_time"]},
    )
    return raster, points


def test_a_grid_gives_what_points_give():
    raster, points = grid_scene()
    flat = separate_atmosphere(points, variogram=KNOWN)
    found = separate_atmosphere(raster, variogram=KNOWN)
    # ties of distance on a raster are broken at will: a few neighbours differ
    difference = found.displacement.values.reshape(30, -1) - flat.displacement.values
    assert rms(difference) < 0.05 * rms(flat.atmosphere)
    found, flat = (separate_atmosphere(d, method="gaussian", spatial_window=700.0) for d in (raster, points))
    # a square reach instead of a round one, and cells
    assert rms(found.displacement.values.reshape(30, -1) - flat.displacement.values) < 0.02 * rms(flat.atmosphere)


def test_a_fitted_grid_loses_its_atmosphere():
    raster, _ = grid_scene()
    for method in METHODS:
        found = separate_atmosphere(raster, method=method)
        assert float(found.displacement.std()) < 0.5 * float(raster.displacement.std())


def test_degrees_of_a_grid_are_turned_into_metres():
    raster, _ = grid_scene()
    step = 100.0 / 111_195.0 / np.cos(np.deg2rad(60.0))
    lonlat = raster.drop_vars(["x", "y"]).assign_coords(
        lon=("x", np.arange(30) * step), lat=("y", 60.0 + (11.5 - np.arange(24)) * 80.0 / 111_195.0)
    )
    metric = separate_atmosphere(raster, method="gaussian", spatial_window=700.0)
    found = separate_atmosphere(lonlat, method="gaussian", spatial_window=700.0)
    np.testing.assert_allclose(found.displacement, metric.displacement, atol=1e-9)


def test_a_chunked_grid_stays_lazy():
    pytest.importorskip("dask")
    raster, _ = grid_scene()
    raster = raster.assign(displacement=raster.displacement.where(np.random.default_rng(0).random((30, 24, 30)) > 0.05))
    raster.displacement[:, 0, 0] = 0.0
    whole = separate_atmosphere(raster, method="gaussian")
    lazy = separate_atmosphere(raster.chunk({"y": 9, "x": 11, "time": 10}), method="gaussian")
    assert lazy.displacement.chunks is not None
    assert lazy.atmosphere.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), whole, atol=1e-12)
    kriged = separate_atmosphere(raster.chunk({"y": 9, "x": 11}), variogram=KNOWN)
    xr.testing.assert_allclose(kriged, separate_atmosphere(raster, variogram=KNOWN))


# Invariants


@pytest.mark.parametrize("method", METHODS)
def test_order_of_points_and_threads_do_not_matter(method):
    series, _ = scene(points=200, epochs=40)
    order = np.random.default_rng(4).permutation(200)
    plain = separate_atmosphere(series, method=method, threads=1)
    turned = separate_atmosphere(series.isel(point=order), method=method, threads=1)
    np.testing.assert_allclose(turned.displacement, plain.displacement.isel(point=order), atol=1e-10)
    many = simulate_many(series)
    one, two = (separate_atmosphere(many, method=method, variogram=KNOWN, threads=n) for n in (1, 3))
    xr.testing.assert_identical(one, two)


def simulate_many(series: xr.Dataset) -> xr.Dataset:
    """More points than one block holds."""
    copies = [series.assign_coords(x=series.x + 5000.0 * k).isel(time=slice(0, 12)) for k in range(45)]
    many = xr.concat(copies, "point", data_vars="minimal", coords="minimal", compat="override", join="override")
    many.attrs = {}
    return many


@settings(max_examples=8, deadline=None)
@given(
    factor=st.floats(-3, 3).filter(lambda f: abs(f) > 0.01),
    method=st.sampled_from(METHODS),
    shift=st.floats(-0.1, 0.1),
)
def test_linear_and_blind_to_offsets(factor, method, shift):
    series, _ = scene(points=60, epochs=30, ref=None)
    scaled = dict(KNOWN, sill=KNOWN["sill"] * factor**2, nugget=KNOWN["nugget"] * factor**2)
    plain = separate_atmosphere(series, method=method, variogram=KNOWN)
    other = separate_atmosphere(
        series.assign(displacement=factor * series.displacement + shift), method=method, variogram=scaled
    )
    np.testing.assert_allclose(other.atmosphere, factor * plain.atmosphere, atol=1e-9)


def test_missing_values_stay_missing_and_hurt_little():
    series, truth = scene(points=500)
    gone = np.random.default_rng(0).random((60, 500)) < 0.15
    gone[:, 0] = False
    gone[30] = False
    gone[:, 17] = True  # a point without data
    gone[3:, 18] = True  # and one with too few
    holes = series.assign(displacement=series.displacement.where(~gone))
    for method in METHODS:
        found, full = separate_atmosphere(holes, method=method), separate_atmosphere(series, method=method)
        np.testing.assert_array_equal(np.isnan(found.displacement), gone)
        np.testing.assert_array_equal(np.isnan(found.atmosphere), gone)
        assert rms(found.displacement - truth.motion) < 1.1 * rms(full.displacement - truth.motion)


def test_inputs_are_not_changed_and_float32_stays():
    series, _ = scene(points=60, epochs=30)
    series = series.astype(np.float32)
    series.displacement.values.flags.writeable = False
    before = series.copy(deep=True)
    found = separate_atmosphere(series)
    xr.testing.assert_identical(series, before)
    assert found.displacement.dtype == np.float32
    assert found.displacement.attrs["units"] == found.atmosphere.attrs["units"] == "m"


def test_progress_is_told():
    series, _ = scene(points=60, epochs=30)
    said = []
    separate_atmosphere(series, progress=lambda done, total: said.append((done, total)))
    assert said == [(60, 60), (60, 60)]


# Awkward places


def test_points_at_one_position_and_on_one_line():
    positions = np.repeat(np.stack([np.linspace(0, 4000, 100), np.zeros(100)], -1), 2, axis=0)
    series, truth = scene(points=200, positions=positions)
    for method in METHODS:
        found = separate_atmosphere(series, method=method)
        assert np.isfinite(found.displacement).all()
        assert rms(found.displacement - truth.motion) < 0.6 * rms(series.displacement - truth.motion)


def test_all_points_at_one_position_are_refused():
    series, _ = scene(points=30, positions=np.zeros((30, 2)), epochs=20)
    with pytest.raises(InputError, match="apart"):
        separate_atmosphere(series)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_points_need_a_known_variogram(count):
    series, _ = scene(points=count, epochs=20)
    for method in METHODS:
        with pytest.raises(InputError, match="10 for a variogram"):
            separate_atmosphere(series, method=method)
    for options in ({"variogram": KNOWN}, {"method": "gaussian", "spatial_window": 500.0}, {"method": None}):
        found = separate_atmosphere(series, **options)
        assert np.isfinite(found.displacement).all()
        assert not found.displacement.isel(point=0).any()


def test_few_epochs_and_a_short_series():
    series, _ = scene(points=50, epochs=5)
    found = separate_atmosphere(series)
    assert found.attrs["motion_model"] == "linear"
    assert np.isfinite(found.displacement).all()
    series, _ = scene(points=50, epochs=25)  # 288 days
    assert separate_atmosphere(series).attrs["motion_model"] == "linear + quadratic"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "mean"}, "method must be"),
        ({"temporal_window": 0}, "temporal_window"),
        ({"temporal_window": "year"}, "temporal_window"),
        ({"spatial_window": -1.0}, "spatial_window"),
        ({"spatial_window": "far"}, "spatial_window"),
        ({"neighbours": 1}, "neighbours"),
        ({"neighbours": 8.0}, "neighbours"),
        ({"variogram": "linear"}, "variogram must be"),
        ({"variogram": {"model": "exponential"}}, "keys"),
        ({"variogram": KNOWN | {"model": "linear"}}, r"variogram\['model'\]"),
        ({"variogram": KNOWN | {"range": 0.0}}, r"variogram\['range'\]"),
        ({"reference": {"point": 999}}, "reference"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_arguments_are_named(options, words):
    series, _ = scene(points=20, epochs=20)
    with pytest.raises(InputError, match=words):
        separate_atmosphere(series, **options)


def test_bad_data_are_refused():
    series, _ = scene(points=20, epochs=20)
    with pytest.raises(InputError, match="3 epochs"):
        separate_atmosphere(series.isel(time=slice(0, 3)))
    with pytest.raises(InputError, match="out of order"):
        separate_atmosphere(series.isel(time=slice(None, None, -1)))
    with pytest.raises(InputError, match="one place"):
        separate_atmosphere(series.isel(point=0))
    with pytest.raises(InputError, match="atmospheric_std"):
        separate_atmosphere(add_atmospheric_variance(series))
    with pytest.raises(InputError, match="x and y must be metres"):
        separate_atmosphere(series.assign_coords(x=series.x / 111e3, y=series.y / 111e3))
    with pytest.raises(InputError, match="no places"):
        separate_atmosphere(series.isel(point=[]))
    with pytest.raises(SchemaError):
        separate_atmosphere(series.drop_vars("displacement"))
    with pytest.raises(InputError, match=r"xarray\.Dataset"):
        separate_atmosphere(series.displacement)
    raster, _ = grid_scene(4, 5)
    with pytest.raises(InputError, match="no coordinate"):
        separate_atmosphere(raster.drop_vars("x"))
    with pytest.raises(InputError, match="uneven"):
        separate_atmosphere(raster.assign_coords(x=[0.0, 1.0, 2.0, 3.0, 10.0]))


# Kernels


def dense_smoother(time: np.ndarray, window: float, weight: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The temporal filter written down as matrices, over the epochs kept."""
    years = (time - time[0]) / np.timedelta64(1, "D") / 365.25
    scaled = 2 * years / years[-1] - 1
    design = np.stack([scaled**0, scaled, scaled**2, np.sin(2 * np.pi * years), np.cos(2 * np.pi * years)], 1)[keep]
    weight, years = weight[keep], years[keep]
    fit = design @ np.linalg.solve(design.T @ (weight[:, None] * design), design.T * weight)
    sigma = window / 365.25 / np.sqrt(8 * np.log(2))
    local = np.empty_like(fit)
    for t, at in enumerate(years):
        lag = years - at
        columns = np.stack([lag**0, lag, lag**2], 1)
        w = np.exp(-0.5 * (lag / sigma) ** 2) * weight
        local[t] = np.linalg.solve(columns.T @ (w[:, None] * columns), columns.T * w)[0]
    eye = np.eye(years.size)
    return (eye - local) @ (eye - fit)


def test_temporal_filter_against_matrices():
    rng = np.random.default_rng(0)
    steps = rng.choice([6, 12, 24], 49)
    time = np.datetime64("2018-01-06", "ns") + np.concatenate([[0], np.cumsum(steps)]) * np.timedelta64(1, "D")
    found = TimeFilter.of(time, 200.0, seasonal=True)
    every = np.ones(50, bool)
    np.testing.assert_allclose(found.whole, dense_smoother(time, 200.0, np.ones(50), every), atol=1e-9)
    series = rng.normal(size=(50, 70))
    series[rng.random((50, 70)) < 0.2] = np.nan
    series[:, 5] = rng.normal(size=50)
    rough = found.apply(xr.Variable(("time", "point"), series)).values
    for point in (0, 5, 69):
        keep = np.isfinite(series[:, point])
        expected = dense_smoother(time, 200.0, np.ones(50), keep) @ series[keep, point]
        np.testing.assert_allclose(rough[keep, point], expected, atol=1e-8)
        assert np.isnan(rough[~keep, point]).all()


def test_turbulent_epochs_are_weighted_down_alone():
    rng = np.random.default_rng(1)
    time = np.datetime64("2018-01-06", "ns") + np.arange(60) * np.timedelta64(12, "D")
    sample = rng.normal(size=(60, 500))
    sample[20] *= 6
    plain = TimeFilter.of(time, None, seasonal=True)
    found = plain.weighted(sample)
    assert found.weight is not None
    assert found.weight[20] == pytest.approx(2 / 36, rel=0.5)
    assert (np.delete(found.weight, 20) > 0.9).all()
    assert abs(found.whole[19, 20]) < 0.2 * abs(plain.whole[19, 20])


def correlations(model: int, distance: np.ndarray, reach: float) -> np.ndarray:
    q = distance / reach
    if model == EXPONENTIAL:
        return np.exp(-3 * q)
    if model == SPHERICAL:
        return np.where(q < 1, 1 - 1.5 * q + 0.5 * q**3, 0.0)
    return np.exp(-3 * q**2)


@pytest.mark.parametrize("model", [EXPONENTIAL, SPHERICAL, GAUSSIAN])
def test_kriging_against_a_dense_solution(model):
    rng = np.random.default_rng(2)
    places = rng.uniform(0, 1000, (40, 2))
    values = rng.normal(size=(40, 6))
    values[rng.random((40, 6)) < 0.2] = np.nan
    values[:, 0] = rng.normal(size=40)
    noises, kind = np.array([0.01, 0.7]), np.array([0, 1, 0, 1, 0, 1])
    size, reach = 12, 800.0
    own = rng.uniform(1, 5, 40)
    distance = np.hypot(*(places[:, None] - places[None]).T)
    near = np.argsort(distance, axis=1)[:, :size]
    out = np.empty((6, 40))
    x, y = np.ascontiguousarray(places.T)
    krige(0, 40, x, y, near, x, y, values, np.isfinite(values).all(axis=1), own, model, reach, noises, kind, out)
    for place in (0, 11, 39):
        for t in range(6):
            use = near[place][np.isfinite(values[near[place], t])]
            n = use.size
            system = np.ones((n + 1, n + 1))
            system[:n, :n] = correlations(model, distance[np.ix_(use, use)], reach) + noises[kind[t]] * np.diag(
                own[use]
            )
            system[n, n] = 0
            right = np.append(correlations(model, distance[place, use], reach), 1.0)
            expected = np.linalg.solve(system, right)[:n] @ values[use, t]
            assert out[t, place] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), noise=st.floats(1e-3, 1e4), model=st.integers(0, 2))
def test_kriging_weights_sum_to_one_even_where_places_coincide(seed, noise, model):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 3, (10, 2)) * 100.0
    between = correlations(model, np.hypot(*(places[:, None] - places[None]).T), 250.0)
    found = np.empty(10)
    assert weights(between, between[0], np.arange(10), 10, np.ones(10), noise, np.empty((10, 10)), np.empty(10), found)
    assert found.sum() == pytest.approx(1)
    same = np.flatnonzero((places == places[0]).all(axis=1))
    np.testing.assert_allclose(found[same], found[0], atol=1e-6)  # coincident places count alike


def test_models_of_correlation_and_variogram_agree():
    distance = np.linspace(0, 2000, 50)
    for number, name in enumerate(("exponential", "spherical", "gaussian")):
        kernel = np.array([correlation(number, d, 900.0) for d in distance])
        np.testing.assert_allclose(shape(name, distance, 900.0), 1 - kernel, atol=1e-12)


def gaussian_field(rng: np.random.Generator, covariance: np.ndarray, count: int) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * rng.normal(size=(len(values), count)))


@pytest.mark.parametrize("model", ["exponential", "spherical", "gaussian"])
def test_a_variogram_comes_back(model):
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 6000, (350, 2))
    distance = np.hypot(*(places[:, None] - places[None]).T)
    smooth = gaussian_field(rng, 4.0 * (1 - shape(model, distance, 2000.0)), 60)
    values = smooth + rng.normal(0, 1, smooth.shape)
    first, second = np.triu_indices(350, 1)
    lags = distance[first, second]
    found = fit_variogram(values, first, second, lags, (model,))
    assert found.reach == pytest.approx(2000, rel=0.25)
    assert found.sill.mean() == pytest.approx(4, rel=0.2)
    assert found.nugget.mean() == pytest.approx(1, rel=0.2)
    assert found.sill.shape == (60,)
    best = fit_variogram(values, first, second, lags, ("exponential", "spherical", "gaussian"))
    assert (best.model == "gaussian") == (model == "gaussian")


def test_best_window_is_where_the_error_is_least():
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 3000, (900, 2))
    distance = np.hypot(*(places[:, None] - places[None]).T)
    smooth = gaussian_field(rng, 1 - shape("spherical", distance, 1500.0), 40)
    values = smooth + rng.normal(0, 1, smooth.shape)
    inner = np.flatnonzero((abs(places - 1500) < 1000).all(axis=1))

    def error(sigma: float) -> float:
        weight = np.exp(-0.5 * (distance[inner] / sigma) ** 2)
        return rms(weight @ values / weight.sum(axis=1, keepdims=True) - smooth[inner])

    stated = best_window(Variogram("spherical", 1500.0, np.ones(1), np.ones(1)), 900 / 3000**2)
    least = min(error(sigma) for sigma in np.geomspace(20, 1500, 30))
    assert error(stated) < 1.03 * least


@pytest.mark.parametrize("method", ["kriging", "gaussian"])
def test_where_nothing_moves_there_is_no_atmosphere(method):
    time = np.datetime64("2018-01-06", "ns") + np.arange(20) * np.timedelta64(12, "D")
    still = xr.Dataset(
        {"displacement": (("time", "y", "x"), np.zeros((20, 12, 15)))},
        {"time": time, "y": np.arange(12) * 50.0, "x": np.arange(15) * 50.0},
    )
    assert not separate_atmosphere(still, method=method)["displacement"].values.any()
    still["displacement"][3] = np.random.default_rng(0).normal(0, 1e-3, (12, 15))
    assert np.isfinite(separate_atmosphere(still, method=method)["displacement"]).all()


def test_an_epoch_without_data_has_no_variogram_of_its_own():
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 3000, (100, 2))
    distance = np.hypot(*(places[:, None] - places[None]).T)
    values = rng.normal(0, 1, (100, 12))
    values[:, 5] = np.nan
    first, second = np.triu_indices(100, 1)
    found = fit_variogram(values, first, second, distance[first, second], ("exponential",))
    assert np.isfinite(found.sill).all()
    assert np.isfinite(found.nugget).all()
