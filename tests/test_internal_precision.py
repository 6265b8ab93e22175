"""Internal precision of velocities: against the true scatter, a plain loop, and scipy's bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from subsidence.errors import InputError
from subsidence.series import estimate_velocity, internal_precision

START = np.datetime64("2018-01-06", "ns")
DAY = np.timedelta64(1, "D")
METHODS: list[dict[str, Any]] = [
    {},
    {"block": 1},
    {"method": "bootstrap"},
    {"method": "bootstrap", "block": 1, "repeats": 100},
    {"method": "subsets"},
    {"method": "subsets", "subsets": 2, "block": 3},
    {"seasonal": True, "acceleration": True, "block": 2},
]


def make(values: np.ndarray, revisits: np.ndarray | None = None) -> xr.Dataset:
    revisits = np.arange(len(values)) if revisits is None else revisits
    dims = ("time", "point") if values.ndim == 2 else ("time", "y", "x")
    return xr.Dataset({"displacement": (dims, values)}, {"time": START + revisits * 12 * DAY})


def years(series: xr.Dataset) -> np.ndarray:
    return (series.time.values - series.time.values[0]) / DAY / 365.25


def ar1(rng: np.random.Generator, epochs: int, rho: float, count: int) -> np.ndarray:
    noise = rng.standard_normal((epochs, count))
    for i in range(1, epochs):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho * rho) * noise[i]
    return noise


def slope_of(t: np.ndarray, d: np.ndarray, weight: np.ndarray) -> float:
    root = np.sqrt(weight)
    design = np.stack([np.ones_like(t), t], axis=1)
    return float(np.linalg.lstsq(root[:, None] * design, root * d, rcond=None)[0][1])


def white_ratio(t: np.ndarray, weights: np.ndarray) -> float:
    """Variance of all epochs' velocity over the expected sum of squares among the sets, from unit impulses."""
    whole = slope_variance = 0.0
    for i in range(t.size):
        unit = np.zeros(t.size)
        unit[i] = 1.0
        own = slope_of(t, unit, np.ones(t.size))
        whole += own**2
        slope_variance += sum((slope_of(t, unit, weight) - own) ** 2 for weight in weights)
    return whole / slope_variance


@pytest.fixture(scope="module")
def gappy() -> xr.Dataset:
    """30 uneven epochs of 40 points, a tenth NaN, one point without data and one with two epochs."""
    rng = np.random.default_rng(7)
    revisits = np.concatenate([[0], np.sort(rng.choice(np.arange(1, 45), 29, replace=False))])
    values = 0.004 * ar1(rng, 30, 0.4, 40) + rng.normal(0, 0.03, 40) * revisits[:, None] * 12 / 365.25
    values[1:][rng.random((29, 40)) < 0.1] = np.nan
    values[:, 5] = np.nan
    values[2:, 6] = np.nan
    return make(values, revisits)


# Against definitions


def left_out(epochs: int, length: int) -> list[np.ndarray]:
    number = np.arange(epochs)
    return [1.0 - ((number >= s) & (number < s + length)) for s in range(1 - length, epochs)]


@pytest.mark.parametrize("length", [1, 3, 5])
def test_jackknife_is_a_plain_loop(gappy, length):
    result = internal_precision(gappy, block=length)
    t = years(gappy)
    for point in (0, 1, 2, 12):
        d = gappy.displacement.values[:, point]
        ok = np.isfinite(d)
        weights = np.array([weight[ok] for weight in left_out(30, length)])
        all_of_it = slope_of(t[ok], d[ok], np.ones(ok.sum()))
        square = sum((slope_of(t[ok], d[ok], weight) - all_of_it) ** 2 for weight in weights)
        expected = np.sqrt(square * white_ratio(t[ok], weights))
        np.testing.assert_allclose(result.velocity_internal_std[point], expected, rtol=1e-7)


def test_leaving_out_one_epoch_is_the_textbook_jackknife_but_for_its_known_bias():
    rng = np.random.default_rng(3)
    series = make(rng.normal(0, 0.01, (60, 200)))
    t = years(series)
    result = internal_precision(series, block=1)
    for point in range(0, 200, 40):
        d = series.displacement.values[:, point]
        left = np.array([stats.linregress(np.delete(t, i), np.delete(d, i)).slope for i in range(60)])
        textbook = np.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
        np.testing.assert_allclose(result.velocity_internal_std[point], textbook, rtol=0.05)


def test_bootstrap_of_single_epochs_is_scipys():
    rng = np.random.default_rng(4)
    series = make(np.column_stack([rng.normal(0, 0.01, 40), rng.standard_t(4, 40) * 0.01]))
    t = years(series)
    result = internal_precision(series, method="bootstrap", block=1, repeats=4000, seed=1)
    for point in range(2):
        d = series.displacement.values[:, point]
        drawn = stats.bootstrap(
            (t, d),
            lambda a, b: stats.linregress(a, b).slope,
            paired=True,
            vectorized=False,
            n_resamples=3000,
            method="percentile",
            rng=np.random.default_rng(2),
        ).standard_error
        # scipy keeps the bias that drawing with replacement has for white noise, of order 1 / epochs.
        np.testing.assert_allclose(result.velocity_internal_std[point], drawn, rtol=0.08)


@pytest.mark.parametrize("block", [1, 4])
def test_subsets_are_a_plain_loop(gappy, block):
    result = internal_precision(gappy, method="subsets", subsets=3, block=block)
    t = years(gappy)
    owner = np.arange(30) // block % 3
    for point in (0, 9):
        d = gappy.displacement.values[:, point]
        ok = np.isfinite(d)
        weights = np.array([(owner == g)[ok] * 1.0 for g in range(3)])
        all_of_it = slope_of(t[ok], d[ok], np.ones(ok.sum()))
        square = sum((slope_of(t[ok], d[ok], weight) - all_of_it) ** 2 for weight in weights)
        expected = np.sqrt(square * white_ratio(t[ok], weights))
        np.testing.assert_allclose(result.velocity_internal_std[point], expected, rtol=1e-7)


# Against the truth


@pytest.mark.parametrize("options", METHODS)
@pytest.mark.parametrize("gaps", [False, True])
def test_white_noise_gives_the_propagated_std(options, gaps):
    rng = np.random.default_rng(11)
    values = rng.normal(0, 0.005, (48, 6000))
    if gaps:
        values[rng.random(values.shape) < 0.15] = np.nan
    series = make(values)
    model = {name: options[name] for name in ("seasonal", "acceleration") if name in options}
    estimate = estimate_velocity(series, **model)
    variance = float((internal_precision(series, **options).velocity_internal_std ** 2).mean())
    assert np.sqrt(variance / float((estimate.velocity_std**2).mean())) == pytest.approx(1.0, abs=0.025)
    assert np.sqrt(variance) == pytest.approx(float(estimate.velocity.std()), rel=0.06)


@pytest.mark.parametrize("method", ["jackknife", "bootstrap", "subsets"])
@pytest.mark.parametrize(("rho", "least"), [(0.3, 0.9), (0.6, 0.8)])
def test_blocks_see_noise_that_remembers(method, rho, least):
    series = make(0.005 * ar1(np.random.default_rng(12), 85, rho, 3000))
    estimate = estimate_velocity(series)
    truth = float(estimate.velocity.std())
    naive = float(estimate.velocity_std.mean()) / truth
    single = internal_precision(series, method=method, block=1).velocity_internal_std
    blocks = np.sqrt(float((internal_precision(series, method=method).velocity_internal_std ** 2).mean())) / truth
    assert naive < 0.77
    assert float(single.mean()) / truth < 0.77
    assert least < blocks < 1.05
    assert abs(blocks - 1) < 0.5 * abs(naive - 1)


def test_louder_epochs_in_part_of_the_series_are_seen():
    """Epochs at both ends are noisier: least squares states one variance for all, the blocks do not."""
    rng = np.random.default_rng(13)
    loud = np.where(np.abs(np.arange(60) - 29.5) > 20, 3.0, 1.0)
    series = make(rng.normal(0, 0.003, (60, 3000)) * loud[:, None])
    estimate = estimate_velocity(series)
    truth = float(estimate.velocity.std())
    assert float(estimate.velocity_std.mean()) < 0.85 * truth
    result = internal_precision(series, block=1)
    assert np.sqrt(float((result.velocity_internal_std**2).mean())) == pytest.approx(truth, rel=0.08)


# Invariants


@pytest.mark.parametrize("options", METHODS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), shift=st.floats(-1, 1), slope=st.floats(-1, 1), factor=st.floats(0.01, 100))
def test_shift_slope_scale_and_order(options, seed, shift, slope, factor):
    rng = np.random.default_rng(seed)
    values = 0.01 * ar1(rng, 24, 0.4, 6)
    values[rng.random(values.shape) < 0.08] = np.nan
    series = make(values)
    base = internal_precision(series, **options).velocity_internal_std
    moved = internal_precision(make(values + shift + slope * years(series)[:, None]), **options)
    np.testing.assert_allclose(moved.velocity_internal_std, base, rtol=1e-6)
    scaled = internal_precision(make(-factor * values), **options)
    np.testing.assert_allclose(scaled.velocity_internal_std, factor * base, rtol=1e-6)
    order = rng.permutation(6)
    turned = internal_precision(series.isel(point=order), **options).velocity_internal_std
    np.testing.assert_array_equal(turned, base.values[order])


@pytest.mark.parametrize("options", [{}, {"method": "subsets"}, {"seasonal": True}])
def test_a_complete_place_is_like_one_with_gaps(options):
    """The shared quadratic form and the path for gaps are two ways to the same number."""
    values = 0.01 * ar1(np.random.default_rng(5), 24, 0.4, 3)
    # An epoch is added that no place has: all go through the path for gaps.
    longer = make(np.concatenate([values, np.full((1, 3), np.nan)]))
    np.testing.assert_allclose(
        internal_precision(longer, block=4, **options).velocity_internal_std,
        internal_precision(make(values), block=4, **options).velocity_internal_std,
        rtol=1e-7,
    )


@pytest.mark.parametrize("options", METHODS)
def test_serial_threaded_and_lazy_give_the_same_bits(gappy, options):
    pytest.importorskip("dask", reason="dask is not installed")
    wide = xr.concat([gappy] * 220, dim="point").astype("f4").transpose("point", "time")
    serial = internal_precision(wide, threads=1, **{**options, "repeats": 20})
    xr.testing.assert_identical(serial, internal_precision(wide, threads=2, **{**options, "repeats": 20}))
    lazy = internal_precision(wide.chunk(point=1700, time=16), **{**options, "repeats": 20})
    assert lazy.velocity_internal_std.chunks is not None
    assert serial.velocity_internal_std.dtype == np.float32
    np.testing.assert_array_equal(serial.velocity_internal_std, lazy.velocity_internal_std.compute())


def test_what_comes_out(gappy):
    before = gappy.copy(deep=True)
    gappy.displacement.values.flags.writeable = False
    seen: list[tuple[int, int]] = []
    result = internal_precision(gappy, progress=lambda done, total: seen.append((done, total)))
    xr.testing.assert_identical(gappy, before)
    std = result.velocity_internal_std
    assert (std.dims, std.attrs["units"]) == (("point",), "m/year")
    assert result.attrs["velocity_internal"] == "jackknife, blocks of 5 epochs"
    assert np.isnan(std.values).nonzero()[0].tolist() == [5, 6]
    assert seen[-1] == (40, 40)
    xr.testing.assert_identical(result.drop_vars("velocity_internal_std").drop_attrs(), before.drop_attrs())
    alone = internal_precision(gappy.isel(point=3, drop=True)).velocity_internal_std
    assert alone.dims == ()
    np.testing.assert_array_equal(alone, std[3])


def test_raster_is_flat(gappy):
    values = gappy.displacement.values
    flat = internal_precision(make(values)).velocity_internal_std.values
    raster = internal_precision(make(values.reshape(30, 5, 8))).velocity_internal_std
    assert raster.dims == ("y", "x")
    np.testing.assert_array_equal(raster.values.ravel(), flat)


def test_seed_decides_the_draws(gappy):
    first, again, other = (internal_precision(gappy, method="bootstrap", seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(first, again)
    assert not np.array_equal(first.velocity_internal_std, other.velocity_internal_std, equal_nan=True)


def test_a_line_has_no_scatter():
    line = 0.3 * np.arange(20.0)[:, None] * np.array([1.0, -1.0, 0.0])
    for options in METHODS[:5]:
        np.testing.assert_allclose(internal_precision(make(line), **options).velocity_internal_std, 0.0, atol=1e-12)


@pytest.mark.parametrize("epochs", [3, 4, 5, 8])
def test_few_epochs(epochs):
    series = make(np.random.default_rng(6).normal(0, 0.01, (epochs, 500)))
    std = internal_precision(series).velocity_internal_std
    assert np.isfinite(std).all()
    truth = float((estimate_velocity(series).velocity_std ** 2).mean())
    assert float((std**2).mean()) == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method must be 'jackknife', 'bootstrap' or 'subsets', got 'magic'"),
        ({"block": 0}, "block must be a whole number from 1, got 0"),
        ({"block": 2.5}, "block must be a whole number from 1, got 2.5"),
        ({"block": 16}, "block must be at most 15 for 30 epochs, got 16"),
        ({"method": "subsets", "subsets": 1}, "subsets must be a whole number from 2"),
        ({"method": "subsets", "subsets": 16}, "subsets must be at most 15 for 30 epochs"),
        ({"method": "subsets", "block": 8}, "block must be at most 7 for 30 epochs in 4 subsets, got 8"),
        ({"method": "bootstrap", "repeats": 1}, "repeats must be a whole number from 2"),
        ({"method": "bootstrap", "seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_bad_options(gappy, options, message):
    with pytest.raises(InputError, match=message):
        internal_precision(gappy, **options)


def test_too_few_or_disordered_epochs(gappy):
    with pytest.raises(InputError, match="2 epochs, expected at least 3"):
        internal_precision(gappy.isel(time=[0, 1]))
    with pytest.raises(InputError, match="out of order"):
        internal_precision(gappy.isel(time=slice(None, None, -1)))
