"""Candidates for persistent scatterers: against plain numpy, against simulated truth, and however the stack is cut."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from subsidence import geometry, schema, simulate
from subsidence.errors import InputError, SchemaError, SuspiciousDataWarning
from subsidence.network import delaunay_arcs, sequential_pairs
from subsidence.scatterers import (
    amplitude_dispersion,
    calibrate_amplitude,
    count_scatterers,
    point_phases,
    select_scatterers,
)
from subsidence.stack._flatten import flatten

LOOK = 5


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, xr.Dataset]:
    slc, truth = simulate.slc_scene(shape=(46, 83), epochs=14, seed=4)
    slc.slc.values.flags.writeable = False
    return slc, truth


@pytest.fixture(scope="module")
def slc(scene) -> xr.Dataset:
    return scene[0]


def plain(samples: np.ndarray, dates=None, **coords) -> xr.Dataset:
    """SLC of given samples without anything to take off the phase."""
    epochs, rows, cols = samples.shape
    time = np.datetime64("2018-01-06", "ns") + np.arange(epochs) * np.timedelta64(12, "D") if dates is None else dates
    return xr.Dataset(
        {"slc": (("time", "y", "x"), samples.astype(np.complex64))},
        {"time": time, "y": np.arange(rows)[::-1] * 14.0, "x": np.arange(cols) * 4.0, "wavelength": 0.0555, **coords},
        {"phase_removed": "flat_earth topography"},
    )


def speckle(epochs: int, rows: int, cols: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(epochs, rows, cols)) + 1j * rng.normal(size=(epochs, rows, cols))


def cells_of(values: np.ndarray, looks: tuple[int, int]) -> np.ndarray:
    """Sums over whole cells of the last two axes."""
    rows, cols = values.shape[-2] // looks[0], values.shape[-1] // looks[1]
    whole = values[..., : rows * looks[0], : cols * looks[1]]
    return whole.reshape(*values.shape[:-2], rows, looks[0], cols, looks[1]).sum(axis=(-3, -1))


def coherence_of(samples: np.ndarray, looks, neighbours: int, lowpass) -> np.ndarray:
    """Temporal coherence as its definition has it, in float64; samples without data are zero."""
    total = count = 0
    for first in range(len(samples)):
        for second in range(first + 1, min(first + neighbours + 1, len(samples))):
            pair = cells_of(samples[first] * samples[second].conj(), looks)
            size = np.abs(pair)
            unit = np.divide(pair, size, out=np.zeros_like(pair), where=size > 0)
            if lowpass is not None:
                weighted = unit * np.sqrt(size)
                box = np.ones(lowpass)
                low = ndimage.convolve(weighted.real, box, mode="constant") - weighted.real
                low = low + 1j * (ndimage.convolve(weighted.imag, box, mode="constant") - weighted.imag)
                unit = unit * np.exp(-1j * np.angle(low))
            total = total + unit
            count = count + (size > 0)
    return np.divide(np.abs(total), count, out=np.full(total.shape, np.nan), where=count > 0)


def assert_alike(one: xr.Dataset, other: xr.Dataset) -> None:
    """The same points, and phases equal but for rounding of the flattening."""
    for name in ("row", "col", "source", "amplitude_dispersion", "selection_coherence"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    np.testing.assert_array_equal(one.phase, other.phase)


# Amplitudes


def test_dispersion_is_the_sample_standard_deviation_over_the_mean(slc):
    amplitude = np.abs(slc.slc.values).astype(np.float64)
    expected = amplitude.std(axis=0, ddof=1) / amplitude.mean(axis=0)
    found = amplitude_dispersion(slc, calibrate=False)
    assert found.dims == ("y", "x")
    assert found.dtype == np.float32
    assert found.attrs["units"] == "1"
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_dispersion_counts_valid_epochs_alone(slc):
    values = slc.slc.values.copy()
    values[3, 5, 7] = np.nan
    values[4, 5, 7] = 0
    values[:8, 6, 7] = np.nan  # more than half
    values[:, 7, 7] = 0
    gappy = slc.assign(slc=(slc.slc.dims, values))
    found = amplitude_dispersion(gappy, calibrate=False)
    held = np.abs(np.delete(values[:, 5, 7], [3, 4])).astype(np.float64)
    np.testing.assert_allclose(found[5, 7], held.std(ddof=1) / held.mean(), rtol=1e-5)
    assert np.isnan(found[6, 7])
    assert np.isnan(found[7, 7])
    assert int(np.isnan(found).sum()) == 2


def test_dispersion_of_clutter_and_of_a_point():
    clutter = speckle(200, 30, 40)
    expected = np.sqrt(4 / np.pi - 1)  # of a Rayleigh distribution
    assert float(amplitude_dispersion(plain(clutter)).mean()) == pytest.approx(expected, abs=0.01)
    points = clutter + 10.0 * np.sqrt(2)
    phase = np.angle(points).std()
    assert float(amplitude_dispersion(plain(points)).mean()) == pytest.approx(phase, rel=0.05)


def test_calibration_finds_the_factors(scene):
    slc, truth = scene
    factors = np.exp(np.random.default_rng(1).normal(0, 0.5, 14))
    darker = slc.assign(slc=slc.slc * xr.DataArray(factors.astype(np.float32), dims="time"))
    found = calibrate_amplitude(darker)
    expected = factors * truth.calibration.values
    ratio = found.amplitude_factor.values / expected
    np.testing.assert_allclose(ratio / ratio.mean(), 1.0, atol=0.03)
    np.testing.assert_allclose(np.log(found.amplitude_factor).mean(), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.angle(found.slc), np.angle(slc.slc), atol=1e-5)
    np.testing.assert_allclose(np.abs(found.slc * found.amplitude_factor), np.abs(darker.slc), rtol=1e-5)
    # so that the gain of an image does not pass for change
    np.testing.assert_allclose(amplitude_dispersion(darker), amplitude_dispersion(slc), rtol=1e-4)
    assert float(amplitude_dispersion(darker, calibrate=False).median()) > 1.1 * float(
        amplitude_dispersion(slc).median()
    )


def test_calibration_by_a_mask(slc):
    mask = xr.zeros_like(slc.slc[0], dtype=bool)
    mask[:, :30] = True
    brighter = slc.slc.values.copy()
    brighter[5, :, 30:] *= 100  # snow on one side
    changed = slc.assign(slc=(slc.slc.dims, brighter))
    of_mask = calibrate_amplitude(changed, mask=mask).amplitude_factor
    np.testing.assert_allclose(of_mask, calibrate_amplitude(slc, mask=mask).amplitude_factor, rtol=1e-6)
    with pytest.raises(InputError, match="mask is True nowhere"):
        calibrate_amplitude(slc, mask=mask & False)
    with pytest.raises(InputError, match="mask must be a boolean DataArray"):
        calibrate_amplitude(slc, mask=mask[:3])


def test_calibration_of_an_image_without_data(slc):
    values = slc.slc.values.copy()
    values[2] = np.nan
    found = calibrate_amplitude(slc.assign(slc=(slc.slc.dims, values))).amplitude_factor
    assert np.isnan(found[2])
    assert np.isfinite(np.delete(found, 2)).all()
    without = calibrate_amplitude(slc.isel(time=np.delete(np.arange(14), 2))).amplitude_factor
    np.testing.assert_allclose(np.delete(found, 2), without)


def test_amplitudes_of_chunked_images_are_lazy(slc):
    mask = xr.ones_like(slc.slc[0], dtype=bool)
    for chunks in ({"y": 20, "x": 30}, {"time": 3}):
        chunked = slc.chunk(chunks)
        calibrated = calibrate_amplitude(chunked)
        assert calibrated.slc.chunks is not None
        np.testing.assert_allclose(calibrated.amplitude_factor, calibrate_amplitude(slc).amplitude_factor)
        with_mask = calibrate_amplitude(chunked, mask=mask).amplitude_factor
        np.testing.assert_allclose(with_mask, calibrate_amplitude(slc, mask=mask).amplitude_factor)
        dispersion = amplitude_dispersion(chunked)
        assert dispersion.chunks is not None
        np.testing.assert_allclose(dispersion, amplitude_dispersion(slc), rtol=1e-5)


# Selection, against its definition


@pytest.mark.parametrize(
    ("looks", "neighbours", "lowpass"),
    [((1, 5), 2, (11, 11)), ((1, 5), 2, None), ((2, 3), 1, (3, 5)), ((1, 1), 3, (1, 7))],
)
def test_coherence_is_as_defined(slc, looks, neighbours, lowpass):
    samples = flatten(slc).slc.values.astype(np.complex128)
    expected = coherence_of(samples, looks, neighbours, lowpass)
    points = select_scatterers(
        slc, max_dispersion=None, min_coherence=1e-6, looks=looks, neighbours=neighbours, lowpass=lowpass
    )
    assert points.sizes["point"] == expected.size
    found = points.selection_coherence.values.reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_coherence_with_missing_samples(slc):
    values = slc.slc.values.copy()
    rng = np.random.default_rng(5)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 10:14, 20:40] = np.nan  # no data at all
    values[:9, 20:22, :10] = 0  # too little
    gappy = slc.assign(slc=(slc.slc.dims, values))
    expected = coherence_of(np.nan_to_num(flatten(gappy).slc.values.astype(np.complex128)), (1, 5), 2, (11, 11))
    points = select_scatterers(gappy, max_dispersion=None, min_coherence=1e-6)
    assert points.sizes["point"] < expected.size
    at = points.row.values, points.col.values // LOOK
    np.testing.assert_allclose(points.selection_coherence, expected[at], atol=2e-5)
    nothing = (points.row >= 10) & (points.row < 14) & (points.col >= 20) & (points.col < 40)
    seldom = (points.row >= 20) & (points.row < 22) & (points.col < 10)
    assert not (nothing | seldom).any()


def test_the_classic_set_is_what_the_dispersion_says(slc):
    dispersion = amplitude_dispersion(slc)
    points = select_scatterers(slc, max_dispersion=0.3, min_coherence=None)
    expected = np.argwhere(dispersion.values < 0.3)
    np.testing.assert_array_equal(np.stack([points.row, points.col], axis=1), expected)
    assert (points.source == "classic").all()
    np.testing.assert_array_equal(points.amplitude_dispersion, dispersion.values[dispersion.values < 0.3])
    assert "selection_coherence" not in points.variables


@pytest.mark.parametrize("looks", [(1, 5), (2, 3)])
def test_phases_of_both_kinds(slc, looks):
    flat = flatten(slc).slc.values.astype(np.complex128)
    points = select_scatterers(slc, max_dispersion=0.3, min_coherence=0.5, looks=looks, reference_time="2018-03-19")
    reference = int(np.flatnonzero(slc.time.values == np.datetime64("2018-03-19"))[0])
    pair = flat[reference] * flat.conj()
    single = pair[:, points.row, points.col]
    cells = cells_of(pair, looks)
    cells = np.pad(cells, [(0, 0), (0, 1), (0, 1)])  # beyond the last whole cell
    several = cells[:, points.row // looks[0], points.col // looks[1]]
    expected = np.where(points.source == "multilook", several, single)
    assert 10 < int((points.source == "multilook").sum()) < points.sizes["point"] - 10
    error = np.angle(np.exp(1j * points.phase.values) * expected.conj())
    np.testing.assert_allclose(error, 0.0, atol=2e-5)
    assert (points.phase[reference] == 0).all()
    assert points.attrs["reference_time"] == "2018-03-19T00:00:00"
    again = point_phases(slc, points.row, points.col, points.source, looks=looks, reference_time="2018-03-19")
    np.testing.assert_array_equal(again, points.phase)


def test_the_multilooked_point_wins_in_any_of_its_pixels(slc):
    classic = select_scatterers(slc, max_dispersion=0.3, min_coherence=None)
    multilook = select_scatterers(slc, max_dispersion=None, min_coherence=0.5)
    both = select_scatterers(slc, max_dispersion=0.3, min_coherence=0.5)
    assert (multilook.col % LOOK == 0).all()
    assert (multilook.source == "multilook").all()
    first = list(zip(multilook.row.values, multilook.col.values, strict=True))
    covered = {(row, col + k) for row, col in first for k in range(LOOK)}
    address = list(zip(classic.row.values, classic.col.values, strict=True))
    kept = {place for place in address if place not in covered}
    assert kept
    assert len(kept) < len(address)
    expected = {(*place, "classic") for place in kept} | {(*place, "multilook") for place in first}
    found = list(zip(both.row.values, both.col.values, both.source.values, strict=True))
    assert set(found) == expected
    assert found == sorted(found)  # by row, then column
    of_cell = both.selection_coherence.where(both.source == "classic")
    assert float(of_cell.max()) <= 0.5 < float(both.selection_coherence.where(both.source == "multilook").min())


def test_settling_is_a_positive_phase():
    """Noise-free images of ground that settles: the one place where the sign shows."""
    years = np.arange(6) * 12 / 365.25
    displacement = -0.1 * years
    away = -4 * np.pi / 0.0555 * displacement  # of the sight line, as geometry has it
    np.testing.assert_allclose(away, geometry.displacement_to_phase(xr.Variable("time", displacement), 0.0555))
    samples = np.exp(-1j * away)[:, None, None] * (3 + speckle(1, 4, 10))
    points = select_scatterers(plain(samples), reference_time="2018-01-06")
    expected = np.angle(np.exp(1j * away))
    np.testing.assert_allclose(points.phase, np.broadcast_to(expected[:, None], points.phase.shape), atol=1e-5)
    assert float(points.phase[1].min()) > 0


def test_flat_earth_and_topography_are_gone():
    quiet = {
        "bowl": None,
        "seasonal_amplitude": 0.0,
        "atmosphere": None,
        "dem_error_std": 0.0,
        "residual_height_std": 0.0,
        "decorrelation": None,
        "signal_to_clutter": 300.0,
        "signal_to_clutter_spread": 0.0,
    }
    scene, _ = simulate.slc_scene(shape=(40, 60), epochs=8, seed=2, baseline_std=150.0, relief=200.0, **quiet)
    points = select_scatterers(scene, max_dispersion=0.1, min_coherence=None)
    assert points.attrs["phase_removed"] == "flat_earth topography"
    assert float(abs(points.phase).max()) < 0.02
    as_it_is = scene.assign_attrs(phase_removed="flat_earth topography")
    assert float(abs(select_scatterers(as_it_is, max_dispersion=0.1, min_coherence=None).phase).max()) > 3


def test_phases_of_pairs(slc):
    pairs = sequential_pairs(slc, neighbours=2)
    points = select_scatterers(slc, pairs=pairs)
    single = select_scatterers(slc)
    assert points.phase.dims == ("pair", "point")
    np.testing.assert_array_equal(points.reference, pairs.reference)
    np.testing.assert_array_equal(points.row, single.row)
    np.testing.assert_allclose(points.perpendicular_baseline, pairs.perpendicular_baseline, atol=1e-9)
    classic = points.source == "classic"
    difference = (
        single.phase.sel(time=pairs.secondary.values).values - single.phase.sel(time=pairs.reference.values).values
    )
    error = np.angle(np.exp(1j * (points.phase.values - difference)))[:, classic]
    np.testing.assert_allclose(error, 0, atol=2e-5)  # single pixels close exactly, multilooked ones do not
    schema.POINTS.check(points)


def test_what_points_carry(scene):
    slc, _ = scene
    with_more = slc.assign_coords(
        lon=(("y", "x"), np.add.outer(np.zeros(46), np.linspace(113, 113.01, 83))),
        lat=(("y", "x"), np.add.outer(np.linspace(23, 23.01, 46), np.zeros(83))),
        temperature=("time", np.arange(14.0)),
    )
    points = select_scatterers(with_more)
    schema.POINTS.check(points)
    at = {"y": points.row.values, "x": points.col.values}
    for name in ("height", "incidence", "slant_range", "lon", "lat"):
        np.testing.assert_array_equal(points[name], with_more[name].values[at["y"], at["x"]], err_msg=name)
        assert points[name].dims == ("point",)
    np.testing.assert_array_equal(points.x, slc.x.values[at["x"]])
    np.testing.assert_array_equal(points.y, slc.y.values[at["y"]])
    baseline = points.perpendicular_baseline
    reference = np.datetime64(points.attrs["reference_time"])
    assert baseline.dims == ("time",)
    assert float(baseline.sel(time=reference)) == 0
    np.testing.assert_allclose(baseline.diff("time"), slc.perpendicular_baseline.diff("time"), atol=1e-9)
    np.testing.assert_array_equal(points.temperature, np.arange(14.0))
    assert float(points.wavelength) == float(slc.wavelength)
    for name, value in {"looks": [1, 5], "neighbours": 2, "lowpass": [11, 11], "max_dispersion": 0.25}.items():
        assert points.attrs[name] == value
    assert set(points.source.values.tolist()) == {"classic", "multilook"}
    assert delaunay_arcs(points).sizes["arc"] > points.sizes["point"]


def test_baselines_by_pixel(slc):
    bare = slc.assign_attrs(phase_removed="flat_earth")
    by_pixel = bare.assign_coords(perpendicular_baseline=bare.perpendicular_baseline + 0.1 * xr.zeros_like(bare.height))
    points = select_scatterers(by_pixel)
    assert points.perpendicular_baseline.dims == ("time", "point")
    single = point_phases(by_pixel, points.row, points.col, points.source, looks=(1, 5))
    np.testing.assert_array_equal(points.phase, single)
    chunked = by_pixel.chunk({"y": 20, "x": 30})
    assert_alike(select_scatterers(chunked), points)


# However the stack is cut


@pytest.mark.parametrize(
    "options",
    [{}, {"looks": (2, 3), "lowpass": (5, 3), "peak_window": (5, 7)}, {"lowpass": None, "peak_window": (3, 3)}],
    ids=str,
)
def test_chunks_and_threads_change_nothing(slc, options, monkeypatch):
    given_options = {"max_dispersion": 0.35, "min_coherence": 0.3, **options}
    whole = select_scatterers(slc, threads=1, **given_options)
    assert 0 < int((whole.source == "multilook").sum()) < whole.sizes["point"]
    for chunks in ({"y": 16, "x": 27}, {"y": 7}, {"x": 13}, {"time": 4}, {"time": 1, "y": 10}):
        assert_alike(select_scatterers(slc.chunk(chunks), **given_options), whole)
    monkeypatch.setattr("subsidence.scatterers._examine._BYTES", 1)  # as little as windows allow
    assert_alike(select_scatterers(slc, threads=1, **given_options), whole)
    assert_alike(select_scatterers(slc, threads=2, **given_options), whole)


def test_a_window_larger_than_a_chunked_scene(slc):
    options = {"lowpass": (101, 201), "max_dispersion": 0.35}
    assert_alike(select_scatterers(slc.chunk(y=10, x=20), **options), select_scatterers(slc, **options))


def test_chunks_are_read_twice_at_most(slc):
    """Once for the calibration, which looks at a few patches, and once for all the rest."""
    import dask.array as da

    reads: list[tuple[int, int]] = []

    def read(block_info=None):
        (_, _), (top, bottom), (left, right) = block_info[None]["array-location"]
        reads.append((top, left))
        return slc.slc.values[:, top:bottom, left:right]

    shape = slc.slc.shape
    lazy = da.map_blocks(
        read, chunks=((14,), (15, 15, 16), (40, 43)), dtype=np.complex64, meta=np.empty((0, 0, 0), "c8")
    )
    assert lazy.shape == shape
    points = select_scatterers(slc.assign(slc=(slc.slc.dims, lazy)))
    assert len(reads) <= 2 * 6
    assert_alike(points, select_scatterers(slc))


def test_images_are_not_copied_whole(monkeypatch):
    samples = speckle(12, 600, 200).astype(np.complex64)
    stack = plain(samples)
    monkeypatch.setattr("subsidence.scatterers._examine._BYTES", samples.nbytes // 50)
    monkeypatch.setattr("subsidence.scatterers._amplitude._SIDE", 4)  # the same for any scene
    select_scatterers(stack.isel(y=slice(50)), max_dispersion=0.3, min_coherence=None)  # compiles
    tracemalloc.start()
    select_scatterers(stack, max_dispersion=0.3, min_coherence=None, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * samples.nbytes


def test_progress_is_told(slc, monkeypatch):
    monkeypatch.setattr("subsidence.scatterers._examine._BYTES", 1)
    told: list[tuple[int, int]] = []
    select_scatterers(slc, progress=lambda done, total: told.append((done, total)), threads=1)
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]


def test_the_input_stays_as_it_was(slc):
    before = slc.copy(deep=True)
    select_scatterers(slc)
    count_scatterers(slc)
    calibrate_amplitude(slc)
    amplitude_dispersion(slc)
    xr.testing.assert_identical(slc, before)


# Preview


@pytest.mark.parametrize("peak_window", [None, (3, 5)])
def test_counts_are_those_of_the_selection(slc, peak_window):
    limits = {"max_dispersion": [0.4, 0.2, 0.3], "min_coherence": [0.3, 0.9, 0.38]}
    counts = count_scatterers(slc, peak_window=peak_window, **limits)
    np.testing.assert_array_equal(counts.max_dispersion, [0.2, 0.3, 0.4])

    def number(dispersion, coherence):
        try:
            points = select_scatterers(
                slc, max_dispersion=dispersion, min_coherence=coherence, peak_window=peak_window, looks=(1, 5)
            )
        except InputError:
            return 0
        return points.sizes["point"]

    for dispersion in (0.2, 0.4):
        assert int(counts.classic_count.sel(max_dispersion=dispersion)) == number(dispersion, None)
        for coherence in (0.38, 0.9):
            found = int(counts["count"].sel(max_dispersion=dispersion, min_coherence=coherence))
            assert found == number(dispersion, coherence)
    assert int(counts.multilook_count.sel(min_coherence=0.38)) == number(None, 0.38)
    chunked = count_scatterers(slc.chunk({"y": 20, "x": 25}), peak_window=peak_window, **limits)
    xr.testing.assert_identical(chunked, counts)


def test_a_share_of_the_scene_is_scaled(monkeypatch):
    scene, _ = simulate.slc_scene(shape=(160, 60), epochs=6, seed=1, town=1.0)
    monkeypatch.setattr("subsidence.scatterers._examine._BYTES", 1)
    whole = count_scatterers(scene, lowpass=(3, 3))
    part = count_scatterers(scene, lowpass=(3, 3), share=0.5)
    assert part.attrs["share"] == pytest.approx(0.5, abs=0.1)
    few = whole.multilook_count.sel(min_coherence=0.6)
    assert float(part.multilook_count.sel(min_coherence=0.6)) == pytest.approx(float(few), rel=0.15)


# Later epochs


def test_phases_at_given_addresses(slc):
    points = select_scatterers(slc)
    reference = points.attrs["reference_time"]
    for stack in (slc, slc.chunk({"y": 16, "x": 27}), slc.chunk({"time": 1})):
        again = point_phases(stack, points.row, points.col, points.source, looks=(1, 5), reference_time=reference)
        np.testing.assert_array_equal(again, points.phase)
    two = slc.sel(time=[np.datetime64(reference), slc.time.values[-1]])
    new = point_phases(two, points.row, points.col, points.source, looks=(1, 5), reference_time=reference)
    np.testing.assert_array_equal(new[1], points.phase[-1])
    assert (new[0] == 0).all()
    pairs = sequential_pairs(slc)
    np.testing.assert_array_equal(
        point_phases(slc, points.row, points.col, points.source, looks=(1, 5), pairs=pairs),
        select_scatterers(slc, pairs=pairs).phase,
    )
    with pytest.raises(InputError, match="point 0 at row 46, col 3 lies outside the 46 x 83 pixels"):
        point_phases(slc, [46], [3], ["classic"], looks=(1, 5))
    with pytest.raises(InputError, match="point 1 at row 4, col 80 lies outside"):
        point_phases(slc, [4, 4], [80, 80], ["classic", "multilook"], looks=(1, 5))
    with pytest.raises(InputError, match="lists of one length"):
        point_phases(slc, [4, 5], [3], ["classic"], looks=(1, 5))
    with pytest.raises(InputError, match="must be whole numbers"):
        point_phases(slc, [4.5], [3], ["classic"], looks=(1, 5))
    with pytest.raises(InputError, match="looks must be two positive"):
        point_phases(slc, [4], [3], ["classic"], looks=5)
    assert point_phases(slc, [], [], [], looks=(1, 5)).shape == (slc.sizes["time"], 0)


# Images without data


def test_images_without_data_are_flagged(slc):
    values = slc.slc.values.copy()
    values[[2, 9]] = np.nan
    empty = slc.assign(slc=(slc.slc.dims, values))
    with pytest.warns(
        SuspiciousDataWarning, match=r"no data in 2 of its 14 images \(2018-01-30, 2018-04-24\)"
    ) as caught:
        points = select_scatterers(empty)
    assert caught[0].filename == __file__
    assert np.isnan(points.phase[[2, 9]]).all()
    assert np.isfinite(np.delete(points.phase.values, [2, 9], axis=0)).all()
    kept = np.delete(np.arange(14), [2, 9])
    without = select_scatterers(slc.isel(time=kept), reference_time=points.attrs["reference_time"])
    np.testing.assert_array_equal(points.row, without.row)
    np.testing.assert_array_equal(points.phase[kept], without.phase)
    with pytest.warns(SuspiciousDataWarning), pytest.raises(InputError, match="is an image without data"):
        select_scatterers(empty, reference_time="2018-01-30")


def test_no_candidate_lacks_the_reference_image(slc):
    values = slc.slc.values.copy()
    values[7, :20] = np.nan
    points = select_scatterers(
        slc.assign(slc=(slc.slc.dims, values)), reference_time=slc.time.values[7], min_coherence=0.3
    )
    assert int(points.row.min()) >= 20
    assert np.isfinite(points.phase).all()


def test_any_order_of_images(slc):
    order = np.random.default_rng(0).permutation(14)
    mixed, straight = select_scatterers(slc.isel(time=order)), select_scatterers(slc)
    np.testing.assert_array_equal(mixed.row, straight.row)
    np.testing.assert_allclose(mixed.selection_coherence, straight.selection_coherence, atol=1e-6)
    np.testing.assert_allclose(mixed.sortby("time").phase, straight.phase, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 1e4), st.integers(0, 100))
def test_a_phase_and_a_gain_of_each_image_do_not_matter(turn, gain, seed):
    """Of any image: what is common to all of it is no property of a pixel."""
    samples = speckle(6, 8, 20, seed=seed)
    samples[:] += 3 * np.exp(1j * np.random.default_rng(seed).normal(0, 0.3, (6, 8, 20)))
    stack = plain(samples)
    other = samples.copy()
    other[3] *= gain * np.exp(1j * turn)
    options = {"max_dispersion": None, "min_coherence": 1e-6, "reference_time": "2018-01-06", "lowpass": (3, 3)}
    one, two = select_scatterers(stack, **options), select_scatterers(plain(other), **options)
    np.testing.assert_array_equal(one.row, two.row)
    np.testing.assert_allclose(one.selection_coherence, two.selection_coherence, atol=2e-4)
    difference = np.angle(np.exp(1j * (two.phase - one.phase).values))
    expected = np.zeros(6)
    expected[3] = -turn
    error = np.angle(np.exp(1j * (difference - expected[:, None])))
    np.testing.assert_allclose(error, 0, atol=1e-3)


# Side lobes


def test_side_lobes_are_removed():
    """Bright points alone in oversampled images: only their brightest pixels are left."""
    scene, truth = simulate.slc_scene(
        shape=(60, 120),
        epochs=10,
        seed=5,
        oversampling=2.0,
        town=1.0,
        point_density=60.0,
        signal_to_clutter=10_000.0,
        signal_to_clutter_spread=0.0,
        temporary_fraction=0.0,
        variable_fraction=0.0,
    )
    rows, cols = np.nonzero(truth.is_point.values)
    with_lobes = select_scatterers(scene, max_dispersion=0.2, min_coherence=None)
    without = select_scatterers(scene, max_dispersion=0.2, min_coherence=None, peak_window=(5, 5))
    assert with_lobes.sizes["point"] > 5 * rows.size
    assert without.sizes["point"] < 1.5 * rows.size
    held = set(zip(without.row.values.tolist(), without.col.values.tolist(), strict=True))
    assert np.mean([place in held for place in zip(rows.tolist(), cols.tolist(), strict=True)]) > 0.8


# What the improved set is for


def true_coherence(slc: xr.Dataset, truth: xr.Dataset, points: xr.Dataset) -> np.ndarray:
    """Length of the mean phasor of what points' phases leave when the simulated truth is taken off."""
    reference = int(np.flatnonzero(slc.time.values == np.datetime64(points.attrs["reference_time"]))[0])
    rows, cols = points.row.values, points.col.values.copy()
    mean = np.abs(slc.slc.values).mean(axis=0)
    for k in np.flatnonzero(points.source.values == "multilook"):  # the pixel that makes most of the sum
        cols[k] += mean[rows[k], cols[k] : cols[k] + LOOK].argmax()
    scale = (slc.slant_range * np.sin(np.deg2rad(slc.incidence))).values[rows, cols]
    lifted = slc.perpendicular_baseline.values[:, None] * truth.residual_height.values[rows, cols] / scale
    motion = (truth.displacement + truth.atmosphere).values[:, rows, cols]
    expected = -4 * np.pi / float(slc.wavelength) * (motion + lifted)
    left = np.exp(1j * (points.phase.values - (expected - expected[reference])))
    return np.abs(np.delete(left, reference, axis=0).mean(axis=0))


def most_true(score: np.ndarray, good: np.ndarray, false: int) -> int:
    """True points held by the loosest limit that lets no more than so many false ones in."""
    order = np.argsort(-score, kind="stable")
    allowed = np.cumsum(~good[order]) <= false
    return int(np.cumsum(good[order])[allowed].max(initial=0))


def test_the_improved_set_holds_more_true_places_among_vegetation():
    """True: phase noise below 0.8 rad by the simulated truth. Counted by place, a cell of 5 pixels."""
    slc, truth = simulate.slc_scene(
        shape=(120, 250), epochs=40, seed=3, town=0.0, point_density=60.0, phase_removed="flat_earth topography"
    )
    classic = select_scatterers(slc, max_dispersion=0.45, min_coherence=None)
    good = true_coherence(slc, truth, classic) > np.exp(-(0.8**2) / 2)
    place = classic.row.values * 1000 + classic.col.values // LOOK
    score = -classic.amplitude_dispersion.values
    order = np.lexsort((-score, place))  # each place by its best pixel
    best = order[np.concatenate([[True], np.diff(place[order]) > 0])]
    improved = select_scatterers(slc, max_dispersion=0.25, min_coherence=0.38)
    right = true_coherence(slc, truth, improved) > np.exp(-(0.8**2) / 2)
    # classic points stay whatever the limit of coherence
    rank = np.where(improved.source == "multilook", improved.selection_coherence, 2.0)
    for false in (10, 30, 100, 300):
        before, after = most_true(score[best], good[best], false), most_true(rank, right, false)
        assert after > 1.15 * before, (false, before, after)
    steady = int((classic.amplitude_dispersion.values[good] < 0.25).sum())
    assert int(right.sum()) > 4 * steady  # at the thresholds of the study


# Wrong input


def test_too_few_images(slc):
    for call in (select_scatterers, count_scatterers, amplitude_dispersion, calibrate_amplitude):
        with pytest.raises(InputError, match="slc holds 3 images, at least 4"):
            call(slc.isel(time=slice(3)))
    values = slc.slc.values.copy()
    values[3:] = np.nan
    with pytest.raises(InputError, match="holds data in 3 of its 14 images"):
        select_scatterers(slc.assign(slc=(slc.slc.dims, values)))


def test_real_numbers_are_no_images(slc):
    with pytest.raises(SchemaError, match="'slc' has dtype float32, expected complex"):
        select_scatterers(slc.assign(slc=abs(slc.slc)))
    with pytest.raises(SchemaError, match="'slc' has dtype float32"):
        amplitude_dispersion(slc.assign(slc=abs(slc.slc)))


def test_no_candidates_say_what_there_is(slc):
    lowest = float(amplitude_dispersion(slc).min())
    with pytest.raises(InputError, match=rf"lowest is {lowest:.3f}.* highest is 0\.\d+.*: raise max_disp.* or lower"):
        select_scatterers(slc, max_dispersion=0.001, min_coherence=0.9999)
    with pytest.raises(InputError, match=r"no amplitude dispersion is below 0\.001"):
        select_scatterers(slc, max_dispersion=0.001, min_coherence=None)
    points = select_scatterers(slc, min_coherence=0.6)
    columns = points.col.values[points.row.values == 0]
    free = next(col for col in range(0, 80, LOOK) if not ((columns >= col) & (columns < col + LOOK)).any())
    values = slc.slc.values.copy()
    values[7] = np.nan
    values[7, 0, free] = 1
    with pytest.raises(InputError, match="choose another reference_time"):
        select_scatterers(slc.assign(slc=(slc.slc.dims, values)), reference_time=slc.time.values[7], min_coherence=0.6)


def test_missing_geometry(slc):
    with pytest.raises(InputError, match="phase_removed"):
        select_scatterers(slc.drop_vars("perpendicular_baseline"))
    done = slc.drop_vars(["perpendicular_baseline", "height"]).assign_attrs(phase_removed="flat_earth topography")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "perpendicular_baseline" not in select_scatterers(done).variables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_dispersion": None, "min_coherence": None}, "both None"),
        ({"max_dispersion": 0.0}, "max_dispersion must lie above 0"),
        ({"min_coherence": 1.5}, "min_coherence must lie above 0 and below 1"),
        ({"min_coherence": "high"}, "min_coherence must lie above 0 and below 1"),
        ({"max_dispersion": np.array([0.2, 0.3])}, "max_dispersion must lie above 0"),
        ({"looks": (0, 5)}, "looks must be two positive whole numbers"),
        ({"looks": 5}, "looks must be two positive whole numbers"),
        ({"looks": (1, 500)}, "more than the 46 x 83 pixels"),
        ({"lowpass": (4, 5)}, "lowpass must be two odd numbers"),
        ({"lowpass": (1, 1)}, "lowpass must be two odd numbers"),
        ({"peak_window": 3}, "peak_window must be two odd numbers"),
        ({"neighbours": 0}, "neighbours must be a positive whole number"),
        ({"reference_time": "2017-01-01"}, "reference_time must be one of the 14 images"),
        ({"reference_time": "middle"}, "reference_time must be a date"),
        ({"threads": 0}, "threads must be a positive"),
        ({"pairs": xr.Dataset()}, "pairs must be a Dataset with reference and secondary"),
    ],
)
def test_wrong_options(slc, options, message):
    with pytest.raises(InputError, match=message):
        select_scatterers(slc, **options)


def test_pairs_that_do_not_fit(slc):
    pairs = sequential_pairs(slc)
    with pytest.raises(InputError, match="not both"):
        select_scatterers(slc, pairs=pairs, reference_time="2018-01-06")
    with pytest.raises(InputError, match="is not the date of any image"):
        select_scatterers(slc.isel(time=slice(8)), pairs=pairs)
    with pytest.raises(InputError, match="holds no pair"):
        select_scatterers(slc, pairs=pairs.isel(pair=slice(0)))
    with pytest.raises(InputError, match="pair 0 is of one image with itself"):
        select_scatterers(slc, pairs=pairs.assign_coords(secondary=pairs.reference))
    with pytest.raises(InputError, match="must be along 'pair'"):
        select_scatterers(slc, pairs=pairs.reset_coords().expand_dims("set"))


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.0},
        {"share": 2},
        {"share": "all"},
        {"max_dispersion": []},
        {"max_dispersion": "a"},
        {"min_coherence": [-1.0]},
    ],
)
def test_wrong_previews(slc, options):
    with pytest.raises(InputError, match=next(iter(options))):
        count_scatterers(slc, **options)
