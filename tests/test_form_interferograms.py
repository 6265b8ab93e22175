"""Interferograms from images: sign, two-pass residual, statistics of phase and coherence, chunks, bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from subsidence import geometry, schema, simulate
from subsidence.errors import InputError, SchemaError
from subsidence.network import all_pairs, sequential_pairs, single_reference_pairs
from subsidence.stack import (
    closure_phase,
    estimate_coherence,
    flatten,
    flattening_phase,
    form_interferograms,
    multilook,
)
from subsidence.stack._coherence import bias_tables, expected_coherence
from subsidence.stack._flatten import flattening_phase_at

WAVELENGTH = 0.0555


def wrap(phase):
    return np.angle(np.exp(1j * np.asarray(phase, np.float64)))


def scene_of(images, **coords) -> xr.Dataset:
    """SLC of an array (time, y, x), phase removed, nothing else known."""
    images = np.asarray(images, np.complex64)
    time = np.datetime64("2018-01-06", "ns") + np.arange(images.shape[0]) * np.timedelta64(12, "D")
    return xr.Dataset(
        {"slc": (("time", "y", "x"), images)},
        {"time": time, "wavelength": WAVELENGTH, **coords},
        {"phase_removed": "flat_earth topography"},
    )


def speckle(random, coherence, shape, epochs=2):
    """Circular Gaussian images, each pair with the same coherence."""
    draws = random.standard_normal((2, epochs + 1, *shape)) @ np.eye(shape[-1])
    common, own = (draws[0] + 1j * draws[1])[:1], (draws[0] + 1j * draws[1])[1:]
    return np.sqrt(coherence) * common + np.sqrt(1 - coherence) * own


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    slc, _ = simulate.slc_scene(shape=(43, 61), epochs=6, seed=1, nan_fraction=0.02, empty_epochs=(4,))
    return slc


@pytest.fixture(scope="module")
def still() -> tuple[xr.Dataset, xr.Dataset]:
    """Images of ground that does not move, seen through nothing but the geometry."""
    return simulate.slc_scene(
        shape=(40, 60), epochs=6, seed=2, bowl=None, seasonal_amplitude=0.0, atmosphere=None, dem_error_std=0.0,
        residual_height_std=0.0, decorrelation=None, temporary_fraction=0.0, variable_fraction=0.0, relief=300.0,
        baseline_std=150.0,
    )  # fmt: skip


# Sign


def test_subsidence_makes_positive_phase():
    away = np.array([0.0, 0.004])  # the second image sees the ground 4 mm further away
    images = np.exp(-4j * np.pi / WAVELENGTH * (880e3 + away))[:, None, None] * np.ones((1, 2, 2))
    stack = form_interferograms(scene_of(images), all_pairs(scene_of(images)))
    np.testing.assert_allclose(stack.phase, 4 * np.pi / WAVELENGTH * 0.004, rtol=1e-4)
    displacement = geometry.phase_to_displacement(stack.phase, WAVELENGTH)
    np.testing.assert_allclose(displacement, -0.004, rtol=1e-4)


def test_a_settling_town_makes_positive_phase():
    slc, truth = simulate.slc_scene(
        shape=(30, 80), epochs=4, interval=90, seed=5, atmosphere=None, decorrelation=None, dem_error_std=0.0,
        residual_height_std=0.0, seasonal_amplitude=0.0, temporary_fraction=0.0, variable_fraction=0.0,
    )  # fmt: skip
    stack = form_interferograms(slc, sequential_pairs(slc, neighbours=1), coherence=False)
    assert (stack.phase[:, truth.attrs["bowl_row"], truth.attrs["bowl_col"]] > 0.1).all()
    moved = truth.displacement.diff("time").values
    np.testing.assert_allclose(wrap(stack.phase + 4 * np.pi / 0.0555 * moved), 0, atol=1e-3)


# Flat earth and topography


def test_nothing_is_left_of_still_ground(still):
    slc, _ = still
    pairs = all_pairs(slc)
    stack = form_interferograms(slc, pairs, coherence=False)
    assert stack.attrs["phase_removed"] == "flat_earth topography"
    assert abs(stack.phase).max() < 2e-4  # amplitudes are complex64
    kept = form_interferograms(slc, pairs, flat_earth=False, topography=False, coherence=False)
    assert abs(kept.phase).max() > 3
    assert kept.attrs["phase_removed"] == ""
    for part in ({"flat_earth": False}, {"topography": False}):
        assert abs(form_interferograms(slc, pairs, coherence=False, **part).phase).max() > 0.5


@pytest.mark.parametrize("removed", ["flat_earth", "flat_earth topography"])
def test_what_has_been_removed_is_not_removed_again(removed):
    options = {"shape": (20, 30), "epochs": 4, "seed": 3, "relief": 200.0, "baseline_std": 120.0}
    whole, _ = simulate.slc_scene(**options)
    part, _ = simulate.slc_scene(**options, phase_removed=removed)
    first, second = (form_interferograms(slc, all_pairs(slc)) for slc in (whole, part))
    assert abs(wrap(first.phase - second.phase)).max() < 1e-3
    assert first.attrs["phase_removed"] == second.attrs["phase_removed"] == "flat_earth topography"


def test_the_phase_is_that_of_geometry(scene):
    phase = flattening_phase(scene)
    look = geometry.look_angle(scene.incidence, scene.slant_range)
    look = look + np.rad2deg(scene.height / (scene.slant_range * np.sin(np.deg2rad(scene.incidence))))
    centre = float(geometry.look_angle(float(scene.incidence.median()), float(scene.slant_range.median())))
    expected = geometry.baseline_phase(
        scene.perpendicular_baseline, look, wavelength=WAVELENGTH, centre_look=centre,
        parallel_baseline=scene.parallel_baseline,
    )  # fmt: skip
    np.testing.assert_allclose(phase, expected.transpose("time", "y", "x"), atol=1e-6)
    assert phase.dtype == np.float64
    without = scene.copy()
    del without.attrs["centre_look"]
    np.testing.assert_allclose(flattening_phase(without), phase, atol=1e-6)
    alone = flattening_phase(scene, flat_earth=False)
    np.testing.assert_allclose(alone + flattening_phase(scene, topography=False), phase, atol=1e-6)
    rows, cols = np.array([0, 7, 42]), np.array([60, 3, 11])
    listed = flattening_phase_at(scene, rows, cols)
    np.testing.assert_array_equal(listed, phase.values[:, rows, cols])
    lazy = scene.chunk(y=10, x=17)
    np.testing.assert_array_equal(flattening_phase_at(lazy, rows, cols), listed)
    np.testing.assert_array_equal(flattening_phase(lazy), phase)
    assert flattening_phase(lazy).chunks is not None


def test_a_part_of_a_scene_is_flattened_as_in_the_whole(scene):
    whole = flattening_phase(scene)
    part = flattening_phase(scene.isel(y=slice(5, 20), x=slice(40, 61)))
    np.testing.assert_allclose(part, whole[:, 5:20, 40:61], atol=1e-9)
    flat = flatten(scene)
    assert flat.attrs["centre_look"] == scene.attrs["centre_look"]
    assert (flattening_phase(flat) == 0).all()


def test_images_are_flattened_once_or_with_the_pair(scene):
    flat, lazy = flatten(scene), flatten(scene.chunk(y=10, x=20, time=4))
    expected = scene.slc.values * np.exp(1j * flattening_phase(scene).values)
    np.testing.assert_allclose(flat.slc, expected, rtol=3e-6, atol=3e-6)
    np.testing.assert_array_equal(lazy.slc, flat.slc)
    assert lazy.slc.chunks is not None
    pairs = all_pairs(scene)
    first, second = (form_interferograms(slc, pairs, coherence=False) for slc in (scene, flat))
    assert np.nanmax(abs(wrap(first.phase - second.phase))) < 1e-5


def test_one_angle_for_the_scene_leaves_topography_alone():
    random = np.random.default_rng(0)
    height = random.uniform(0, 300, (6, 7))
    baselines = np.array([0.0, 120.0, -80.0])
    coords = {
        "perpendicular_baseline": ("time", baselines), "incidence": 39.0, "slant_range": 880e3,
        "height": (("y", "x"), height),
    }  # fmt: skip
    phase = -4 * np.pi / WAVELENGTH * baselines[:, None, None] * height / (880e3 * np.sin(np.deg2rad(39.0)))
    slc = scene_of(np.exp(-1j * phase), **coords).assign_attrs(phase_removed="flat_earth")
    assert abs(form_interferograms(slc, all_pairs(slc)).phase).max() < 2e-6
    slc.attrs["phase_removed"] = ""
    assert abs(form_interferograms(slc, all_pairs(slc)).phase).max() < 2e-6
    with pytest.raises(InputError, match="no flat-earth phase"):
        form_interferograms(slc, all_pairs(slc), flat_earth=True)
    flat_only = form_interferograms(slc, all_pairs(slc), topography=False)
    np.testing.assert_allclose(wrap(flat_only.phase - (phase[[1, 2, 2]] - phase[[0, 0, 1]])), 0, atol=1e-5)


def test_baselines_of_each_pixel(scene):
    varying = scene.perpendicular_baseline * (1 + 0.001 * xr.DataArray(np.arange(61.0), dims="x"))
    varying = varying * xr.ones_like(scene.height)
    slc = scene.assign_coords(perpendicular_baseline=varying.transpose("time", "y", "x"))
    with pytest.raises(InputError, match="baselines by pixel do not tell flat-earth"):
        form_interferograms(slc, all_pairs(slc))
    slc.attrs["phase_removed"] = "flat_earth"
    stack = form_interferograms(slc, all_pairs(slc), looks=(2, 3))
    lazy = form_interferograms(slc.chunk(y=9, x=14), all_pairs(slc), looks=(2, 3))
    xr.testing.assert_identical(lazy.compute(), stack)
    assert stack.perpendicular_baseline.dims == ("pair", "y", "x")
    per_metre = geometry.height_to_phase(
        varying, wavelength=WAVELENGTH, slant_range=scene.slant_range, incidence=scene.incidence
    )
    expected = (per_metre * scene.height).transpose("time", "y", "x")
    np.testing.assert_allclose(flattening_phase(slc), expected, atol=1e-6)


# Products, looks, coherence, against plain numpy


def cells(values, looks):
    rows, cols = values.shape[-2] // looks[0], values.shape[-1] // looks[1]
    cut = values[..., : rows * looks[0], : cols * looks[1]]
    return np.nansum(cut.reshape(*values.shape[:-2], rows, looks[0], cols, looks[1]), axis=(-3, -1))


def boxes(values, window):
    padded = np.pad(values, [(0, 0), (window[0] // 2,) * 2, (window[1] // 2,) * 2])
    return np.lib.stride_tricks.sliding_window_view(padded, window, axis=(-2, -1)).sum((-2, -1))


@pytest.mark.parametrize("looks", [(1, 1), (1, 5), (3, 4)])
@pytest.mark.parametrize("window", [(1, 1), (5, 5), (1, 7)])
def test_against_numpy(scene, looks, window):
    pairs = all_pairs(scene)
    images = scene.slc.values.astype(complex) * np.exp(1j * flattening_phase(scene).values)
    numbers = [np.searchsorted(scene.time.values, pairs[name].values) for name in ("reference", "secondary")]
    first, second = (images[number] for number in numbers)
    product = first * second.conj()
    missing = np.isnan(product)
    sums = [cells(np.where(missing, 0, item), looks) for item in (product, abs(first) ** 2, abs(second) ** 2)]
    count = cells(~missing * 1.0, looks)
    stack = form_interferograms(scene, pairs, looks=looks, coherence_window=window, bias_correction=False)
    np.testing.assert_array_equal(np.isnan(stack.phase), count == 0)
    error = wrap(stack.phase.values - np.angle(sums[0])) * abs(sums[0]) / np.sqrt(np.maximum(sums[1] * sums[2], 1e-9))
    assert np.nanmax(abs(error)) < 1e-5
    around = [boxes(item, window) for item in (*sums, count)]
    with np.errstate(invalid="ignore", divide="ignore"):
        coherence = abs(around[0]) / np.sqrt((around[1] * around[2]).real)
    coherence[(count == 0) | (around[3] < 2)] = np.nan
    np.testing.assert_allclose(stack.coherence, coherence, atol=3e-6)
    schema.INTERFEROGRAMS.check(stack)
    np.testing.assert_allclose(
        estimate_coherence(scene, pairs, looks=looks, window=window, bias_correction=False), coherence, atol=3e-6
    )


def test_single_looks_close(scene):
    stack = form_interferograms(scene, all_pairs(scene), coherence=False)
    assert np.nanmax(abs(closure_phase(stack).closure)) < 1e-5


def lee_cdf(coherence, looks):
    """Distribution of multilook phase around its mean: Lee et al. (1994), doi:10.1109/36.312890."""
    angles = np.linspace(-np.pi, np.pi, 4001)
    beta = coherence * np.cos(angles)
    lost = (1 - coherence**2) ** looks
    density = lost * beta * np.exp(special.gammaln(looks + 0.5) - special.gammaln(looks)) / (2 * np.sqrt(np.pi))
    density = density / (1 - beta**2) ** (looks + 0.5) + lost / (2 * np.pi) * special.hyp2f1(looks, 1, 0.5, beta**2)
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(angles))])
    assert abs(total[-1] - 1) < 1e-5
    return lambda phase: np.interp(phase, angles, total)


@pytest.mark.parametrize("coherence", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("looks", [(1, 1), (1, 5), (4, 5)])
def test_phase_has_the_multilook_distribution(coherence, looks):
    random = np.random.default_rng([int(100 * coherence), *looks])
    fringe = 0.7
    images = speckle(random, coherence, (100 * looks[0], 100 * looks[1]))
    images[1] *= np.exp(-1j * fringe)
    slc = scene_of(images)
    stack = form_interferograms(slc, all_pairs(slc), looks=looks, coherence=False)
    count = looks[0] * looks[1]
    around = wrap(stack.phase.values.ravel() - fringe)
    assert stats.kstest(around, lee_cdf(coherence, count)).pvalue > 1e-3
    # The test can tell: one look more, and another coherence, are rejected.
    assert stats.kstest(around, lee_cdf(coherence, count + max(1, count // 4))).pvalue < 1e-3
    assert stats.kstest(around, lee_cdf(coherence - 0.1, count)).pvalue < 1e-3


def test_expected_coherence_is_that_of_its_distribution():
    # Touzi et al. (1999), eq. 7: the density itself, for whole numbers of looks
    assert expected_coherence(0.0, 5) == pytest.approx(0.406, abs=5e-4)
    for looks in (2, 5, 20):
        for coherence in (0.0, 0.2, 0.5, 0.9):
            d = np.linspace(0, 1, 20001)
            k = np.arange(looks)
            polynomial = (special.binom(looks - 1, k) ** 2 * (d[:, None] * coherence) ** (2 * k)).sum(1)
            density = 2 * (looks - 1) * (1 - coherence**2) ** looks * d * (1 - d**2) ** (looks - 2)
            density = density * polynomial * (1 - (d * coherence) ** 2) ** (1 - 2 * looks)
            assert np.trapezoid(density, d) == pytest.approx(1, abs=1e-4)
            assert expected_coherence(coherence, looks) == pytest.approx(np.trapezoid(density * d, d), abs=1e-4)
    assert expected_coherence([1.0, 0.0], 7).tolist()[0] == 1.0
    assert expected_coherence(0.999, 400) == pytest.approx(0.999, abs=1e-5)


def test_the_tables_invert_it():
    row, least, squares = bias_tables(600)
    for looks in (2, 3, 9, 25, 32):
        true = np.array([0.0, 0.05, 0.3, 0.8, 0.99, 1.0])
        expected = expected_coherence(true, looks)
        at = (expected - least[row[looks]]) / (1 - least[row[looks]]) * 512
        found = np.sqrt(np.interp(at, np.arange(513), squares[row[looks]]))
        np.testing.assert_allclose(found, true, atol=0.01)
    # shared tables of many looks: the next one's least coherence differs by less than 0.003
    assert all(abs(least[row[n]] - expected_coherence(0.0, n)) < 3e-3 for n in range(33, 601, 13))
    assert bias_tables(600)[1] is least


@pytest.mark.parametrize(("looks", "window"), [((1, 5), (1, 1)), ((1, 1), (5, 5)), ((2, 2), (3, 3))])
@pytest.mark.parametrize("coherence", [0.0, 0.4, 0.8])
def test_coherence_is_without_bias_on_average(looks, window, coherence):
    random = np.random.default_rng([1, *looks, int(10 * coherence)])
    slc = scene_of(speckle(random, coherence, (200, 200)))
    pairs = all_pairs(slc)
    count = int(np.prod(looks) * np.prod(window))
    inner = {"y": slice(3, -3), "x": slice(3, -3)}
    sample = estimate_coherence(slc, pairs, looks=looks, window=window, bias_correction=False).isel(inner)
    assert float(sample.mean()) == pytest.approx(float(expected_coherence(coherence, count)), abs=0.012)
    corrected = estimate_coherence(slc, pairs, looks=looks, window=window).isel(inner)
    assert ((corrected >= 0) & (corrected <= sample + 1e-4)).all()
    if coherence:
        # What is below the least stays above zero on average, which few looks show most.
        assert float(corrected.mean()) == pytest.approx(coherence, abs=0.03 if count > 5 else 0.06)
    else:
        assert float(corrected.mean()) < 0.6 * float(sample.mean())


def test_a_fringe_within_the_window():
    random = np.random.default_rng(4)
    images = speckle(random, 0.8, (60, 60))
    y, x = np.mgrid[:60, :60]
    images[1] = images[1] * np.exp(1j * (0.9 * x - 0.6 * y))
    slc = scene_of(images)
    pairs = all_pairs(slc)
    plain = estimate_coherence(slc, pairs, window=(5, 5)).isel(y=slice(2, -2), x=slice(2, -2))
    without = estimate_coherence(slc, pairs, window=(5, 5), local_fringe=True).isel(y=slice(2, -2), x=slice(2, -2))
    assert float(plain.mean()) < 0.4
    assert float(without.mean()) == pytest.approx(0.8, abs=0.03)


# Cut in any way


@settings(max_examples=12, deadline=None, phases=[Phase.generate])  # shrinking computes for minutes
@given(
    looks=st.tuples(st.integers(1, 4), st.integers(1, 6)),
    window=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 7])),
    chunks=st.tuples(st.integers(1, 6), st.integers(5, 43), st.integers(5, 61)),
    fringe=st.booleans(),
)
def test_chunks_do_not_matter(scene, looks, window, chunks, fringe):
    pairs = sequential_pairs(scene, neighbours=2)
    options = {"looks": looks, "coherence_window": window, "local_fringe": fringe}
    whole = form_interferograms(scene, pairs, **options)
    lazy = form_interferograms(scene.chunk(dict(zip(("time", "y", "x"), chunks, strict=True))), pairs, **options)
    assert lazy.phase.chunks is not None
    xr.testing.assert_identical(lazy.compute(), whole)


def test_a_window_larger_than_a_chunked_scene(scene):
    pairs = sequential_pairs(scene, neighbours=1)
    options = {"looks": (3, 6), "coherence_window": (3, 7), "local_fringe": True}
    whole = form_interferograms(scene, pairs, **options)
    lazy = form_interferograms(scene.chunk(time=2, y=11, x=12), pairs, **options)
    xr.testing.assert_identical(lazy.compute(), whole)


def test_threads_do_not_matter(scene):
    pairs = all_pairs(scene)
    told = []
    first = form_interferograms(scene, pairs, threads=1)
    second = form_interferograms(scene, pairs, threads=3, progress=lambda done, total: told.append((done, total)))
    assert first.identical(second)
    assert told[-1][0] == told[-1][1]


def test_large_chunks_are_cut_and_one_part_reads_no_other():
    da = pytest.importorskip("dask.array")
    read = []

    def piece(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.ones(block_info[None]["chunk-shape"], np.complex64)

    images = da.map_blocks(piece, chunks=((4, 4), (500,) * 4, (600,) * 3), dtype=np.complex64, meta=np.empty((0, 0, 0)))
    slc = scene_of(np.ones((8, 1, 1))).drop_vars("slc").assign(slc=(("time", "y", "x"), images.astype(np.complex64)))
    stack = form_interferograms(slc, all_pairs(slc), coherence_window=(3, 3))
    assert read == []
    assert max(np.prod(stack.phase.data.chunks[axis]) for axis in (1, 2)) > 0
    corner = stack.isel(y=slice(0, 5), x=slice(0, 5)).compute()
    assert np.allclose(corner.phase, 0)
    # with its margin a corner needs its own chunk and no far one
    assert {place[1:] for place in read} <= {(i, j) for i in (0, 1) for j in (0, 1)}


def test_reading_only_what_pairs_use(scene):
    da = pytest.importorskip("dask.array")
    read = set()

    def piece(block, block_info=None):
        read.add(block_info[0]["chunk-location"][0])
        return block

    watched = da.map_blocks(piece, scene.chunk(time=1).slc.data, dtype=np.complex64, meta=np.empty((0, 0, 0), "c8"))
    slc = scene.assign(slc=(("time", "y", "x"), watched))
    form_interferograms(slc, sequential_pairs(slc, neighbours=1).isel(pair=[1])).compute()
    assert read == {1, 2}


def test_inputs_stay_as_they_are(scene):
    frozen = scene.copy(deep=True)
    for variable in frozen.variables.values():
        if isinstance(variable.data, np.ndarray):
            variable.data.setflags(write=False)
    kept = frozen.copy(deep=True)
    pairs = all_pairs(frozen)
    pairs_kept = pairs.copy(deep=True)
    first = form_interferograms(frozen, pairs, looks=(2, 3))
    assert first.identical(form_interferograms(scene, pairs, looks=(2, 3)))
    turned = frozen.transpose("x", "y", "time")
    assert np.array_equal(form_interferograms(turned, pairs, looks=(2, 3)).phase, first.phase, equal_nan=True)
    flatten(frozen)
    multilook(frozen, looks=(2, 2))
    assert frozen.identical(kept)
    assert pairs.identical(pairs_kept)


def test_double_precision_and_any_order_of_epochs(scene):
    pairs = all_pairs(scene)
    expected = form_interferograms(scene, pairs, looks=(2, 3))
    double = scene.assign(slc=scene.slc.astype(np.complex128))
    assert form_interferograms(double, pairs, looks=(2, 3)).identical(expected)
    backwards = scene.isel(time=slice(None, None, -1))
    assert form_interferograms(backwards, pairs, looks=(2, 3)).identical(expected)


# No data


def test_what_holds_no_data():
    images = np.ones((3, 4, 6), np.complex64)
    images[0, 0, 0], images[1, 1, 1], images[2, 2, 2] = np.nan, 0, np.inf
    images[2, :, 3:] = np.nan
    slc = scene_of(images)
    stack = form_interferograms(slc, all_pairs(slc), coherence_window=(1, 3))
    expected = np.isfinite(images) & (images != 0)
    for pair, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        np.testing.assert_array_equal(np.isfinite(stack.phase[pair]), expected[i] & expected[j])
    assert not (np.isfinite(stack.coherence) & np.isnan(stack.phase)).any()
    several = form_interferograms(slc, all_pairs(slc), looks=(2, 2), bias_correction=False)
    np.testing.assert_allclose(several.phase[0], 0, atol=1e-6)
    np.testing.assert_allclose(several.coherence[0], 1, atol=1e-6)
    assert np.isnan(several.phase[1:, :, 2]).all()
    nothing = scene_of(np.full((2, 4, 4), np.nan))
    empty = form_interferograms(nothing, all_pairs(nothing), looks=(2, 2))
    assert np.isnan(empty.phase).all()
    assert np.isnan(empty.coherence).all()


def test_ground_without_height_has_no_phase(still):
    slc, _ = still
    height = slc.height.copy()
    height[3, 4] = np.nan
    stack = form_interferograms(slc.assign_coords(height=height), all_pairs(slc), coherence=False)
    assert np.isnan(stack.phase[:, 3, 4]).all()
    assert int(np.isnan(stack.phase).sum()) == stack.sizes["pair"]


def test_one_pixel_and_one_sample():
    slc = scene_of(np.exp(1j * np.arange(3.0))[:, None, None])
    stack = form_interferograms(slc, all_pairs(slc))
    np.testing.assert_allclose(stack.phase.values.ravel(), [-1, -2, -1], atol=1e-6)
    assert np.isnan(stack.coherence).all()  # one sample has the coherence 1 whatever it is


# Coordinates


def test_coordinates_are_those_of_the_cells(scene):
    mapping = {"GeoTransform": "500000.0 4.0 0.0 2100000.0 0.0 -14.0", "crs_wkt": "x"}
    slc = scene.assign_coords(spatial_ref=((), 0, mapping), lon=(("y", "x"), np.zeros((43, 61)) + scene.x.values))
    stack = form_interferograms(slc, all_pairs(slc), looks=(2, 5))
    assert dict(stack.sizes) == {"pair": 15, "y": 21, "x": 12}
    np.testing.assert_allclose(stack.x, slc.x.values[:60].reshape(12, 5).mean(1))
    np.testing.assert_allclose(stack.y, slc.y.values[:42].reshape(21, 2).mean(1))
    np.testing.assert_allclose(stack.lon[0], stack.x)
    for name in ("height", "incidence", "slant_range"):
        expected = slc[name].values[:42, :60].reshape(21, 2, 12, 5).mean((1, 3))
        np.testing.assert_allclose(stack[name], expected, rtol=1e-6)
    assert float(stack.looks) == 10
    assert (stack.attrs["azimuth_looks"], stack.attrs["range_looks"]) == (2, 5)
    assert stack.spatial_ref.attrs["GeoTransform"] == "500000.0 20.0 0.0 2100000.0 0.0 -28.0"
    np.testing.assert_allclose(stack.perpendicular_baseline, all_pairs(slc).perpendicular_baseline)
    assert "time" not in stack.variables
    assert "temperature" not in stack.variables
    assert stack.attrs["kind"] == "INTERFEROGRAMS"
    again = multilook(stack, looks=(1, 2))
    assert (again.attrs["azimuth_looks"], again.attrs["range_looks"], float(again.looks)) == (2, 10, 20)


def test_baselines_of_the_pairs_serve_where_images_have_none():
    slc = scene_of(np.ones((3, 2, 2)))
    assert "perpendicular_baseline" not in form_interferograms(slc, all_pairs(slc)).variables
    pairs = all_pairs(slc).assign_coords(perpendicular_baseline=("pair", [1.0, 2.0, 3.0]))
    assert form_interferograms(slc, pairs).perpendicular_baseline.values.tolist() == [1.0, 2.0, 3.0]


# Multilook


def test_multilook_is_the_mean_of_what_is_there():
    random = np.random.default_rng(0)
    values = random.standard_normal((3, 13, 17)) + 1j * random.standard_normal((3, 13, 17))
    values[random.random(values.shape) < 0.3] = np.nan
    for data in (values, values.real, values.real.astype(np.float32), values.astype(np.complex64)):
        array = xr.DataArray(data, dims=("time", "y", "x"), coords={"x": np.arange(17), "y": np.arange(13.0)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = np.nanmean(data[:, :12, :16].reshape(3, 4, 3, 4, 4).astype(complex), axis=(2, 4))
        found = multilook(array, looks=(3, 4))
        np.testing.assert_allclose(found, expected if data.dtype.kind == "c" else expected.real, rtol=1e-5, atol=1e-6)
        assert found.dtype == data.dtype
        assert found.x.values.tolist() == [1.5, 5.5, 9.5, 13.5]
        lazy = multilook(array.chunk(time=2, y=5, x=7), looks=(3, 4))
        assert lazy.chunks is not None
        xr.testing.assert_identical(lazy.compute(), found)


def test_multilook_of_what_has_no_mean():
    data = xr.Dataset(
        {
            "phase": (("y", "x"), np.array([[3.0, -3.0, 1.0, 1.2]], np.float32)),
            "connected_component": (("y", "x"), np.array([[1, 2, 3, 3]])),
            "mask": (("y", "x"), np.array([[True, False, True, True]])),
            "other": ("time", [1.0]),
        },
        {"x": [0, 1, 2, 3]},
    )
    found = multilook(data, looks=(1, 2))
    np.testing.assert_allclose(abs(found.phase), [[np.pi, 1.1]], atol=1e-6)
    assert found.connected_component.values.tolist() == [[2, 3]]
    assert found["mask"].values.tolist() == [[False, True]]
    assert found.x.values.tolist() == [0.5, 2.5]
    assert found.other.identical(data.other)
    wrapped = multilook(data.phase.rename("phase"), looks=(1, 2))
    assert wrapped.name == "phase"
    assert multilook(data.phase.rename(None), looks=(1, 4)).item() == pytest.approx(0.55)
    assert multilook(data, looks=(1, 1)).identical(data)


# Bad input


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (lambda s: s.drop_vars("height"), {}, r"lacks 'height' \(m\).*topography=False"),
        (lambda s: s.drop_vars("perpendicular_baseline"), {}, "lacks 'perpendicular_baseline'"),
        (lambda s: s.drop_vars(["incidence", "slant_range"]), {"flat_earth": True}, "'incidence'.*'slant_range'"),
        (lambda s: s.assign_attrs(phase_removed="ramp"), {}, "phase_removed"),
        (lambda s: s.assign_attrs(phase_removed="flat_earth"), {"flat_earth": True}, "removed already"),
        (lambda s: s.assign_attrs(centre_look="high"), {}, "centre_look"),
        (lambda s: s, {"flat_earth": "yes"}, "flat_earth must be True, False or None"),
        (
            lambda s: s.assign_coords(perpendicular_baseline=s.perpendicular_baseline.where(s.time > s.time[0])),
            {},
            "not finite at 1 of 6 epochs.*2018-01-06",
        ),
        (lambda s: s, {"looks": (0, 1)}, "looks must be two positive whole numbers"),
        (lambda s: s, {"looks": 5}, "looks must be two positive whole numbers"),
        (lambda s: s, {"looks": (1, 2.0)}, "looks must be two positive whole numbers"),
        (lambda s: s, {"looks": (1, 2, 3)}, "looks must be two positive whole numbers"),
        (lambda s: s, {"looks": (100, 1)}, "at most the scene's 43 x 61"),
        (lambda s: s, {"coherence_window": (4, 4)}, "coherence_window must be two odd"),
        (lambda s: s, {"threads": 0}, "threads must be a positive"),
    ],
)
def test_bad_images_and_options(scene, change, options, match):
    with pytest.raises(InputError, match=match):
        form_interferograms(change(scene), all_pairs(scene), **options)


def test_a_centre_of_nothing(scene):
    unknown = scene.assign_coords(incidence=scene.incidence * np.nan)
    del unknown.attrs["centre_look"]
    with pytest.raises(InputError, match="incidence"):
        form_interferograms(unknown, all_pairs(scene))


def test_bad_pairs(scene):
    pairs = all_pairs(scene)
    with pytest.raises(InputError, match="must be a Dataset with 'reference'"):
        form_interferograms(scene, pairs.drop_vars("reference"))
    with pytest.raises(InputError, match="must be a Dataset with 'reference'"):
        form_interferograms(scene, [(0, 1)])
    with pytest.raises(InputError, match="not among the 2 of slc"):
        form_interferograms(scene.isel(time=[0, 1]), pairs)
    turned = pairs.rename(reference="secondary", secondary="reference")
    with pytest.raises(InputError, match="must be earlier"):
        form_interferograms(scene, turned)
    with pytest.raises(InputError, match="there 2 times"):
        form_interferograms(scene, xr.concat([pairs, pairs], "pair"))
    twice = scene.assign_coords(time=scene.time.values[[0, 0, 2, 3, 4, 5]])
    with pytest.raises(InputError, match="date of its own"):
        form_interferograms(twice, single_reference_pairs(scene).isel(pair=[3]))


def test_what_is_no_stack_of_images(scene):
    pairs = all_pairs(scene)
    with pytest.raises(SchemaError, match="expected complex"):
        form_interferograms(scene.assign(slc=abs(scene.slc)), pairs)
    with pytest.raises(SchemaError, match="wavelength"):
        form_interferograms(scene.drop_vars("wavelength"), pairs)
    for bad in (np.ones((2, 2)), xr.DataArray(np.ones(3), dims="time")):
        with pytest.raises(InputError, match="dims 'y' and 'x'"):
            multilook(bad, looks=(1, 1))
    with pytest.raises(InputError, match="at most the scene's size"):
        multilook(scene.slc, looks=(1, 100))
