"""Search of the phase model along arcs: against truth, dense least squares and the periodogram written out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import schema, simulate
from subsidence._points import phase_design
from subsidence.errors import InputError, SchemaError, SuspiciousDataWarning
from subsidence.network import delaunay_arcs
from subsidence.phase_model._model import model_of
from subsidence.phase_model._search import search_arrays, search_phase_model
from subsidence.phase_model._surface import coherence_surface
from subsidence.phase_model._threshold import coherence_threshold, search_cells
from subsidence.schema import Status

WAVELENGTH, RANGE, INCIDENCE = 0.0555, 880e3, 39.0
PER_METRE = -4 * np.pi / WAVELENGTH
#: Wavelength m, slant range m, incidence degree, spread of baselines m, repeat days.
SATELLITES = {
    "s1": (0.0555, 880e3, 39.0, 70.0, 12),
    "ers": (0.0566, 850e3, 23.0, 400.0, 35),
    "tsx": (0.0311, 620e3, 35.0, 150.0, 11),
}


def stack(satellite: str = "s1", epochs: int = 85, seed: int = 1) -> tuple[xr.Dataset, np.ndarray]:
    """POINTS of two points without phases, and the design (parameter, epoch) of the epochs but the reference's."""
    wavelength, slant_range, incidence, spread, repeat = SATELLITES[satellite]
    rng = np.random.default_rng(seed)
    slots = np.sort(rng.choice(round(epochs * 1.2), epochs + 1, replace=False))
    time = np.datetime64("2015-01-01", "ns") + (slots * repeat).astype("m8[D]")
    middle = epochs // 2
    baseline = rng.normal(0, spread, epochs + 1)
    baseline -= baseline[middle]
    years = (slots - slots[middle]) * repeat / 365.25
    design = -4 * np.pi / wavelength * np.array([years, baseline / (slant_range * np.sin(np.deg2rad(incidence)))])
    points = xr.Dataset(
        coords={
            "time": time,
            "perpendicular_baseline": ("time", baseline),
            "wavelength": wavelength,
            "slant_range": slant_range,
            "incidence": incidence,
        }
    )
    return points.assign_attrs(reference_time=str(time[middle])), np.delete(design, middle, axis=1)


def arcs_of(
    satellite: str = "s1",
    *,
    count: int = 500,
    epochs: int = 85,
    noise: float | tuple[float, float] = 0.6,
    velocity: float = 0.03,
    height: float = 20.0,
    seed: int = 1,
) -> tuple[xr.Dataset, xr.Dataset, np.ndarray, np.ndarray, np.ndarray]:
    """Points around a first one whose phase is zero: points, arcs from it, truth, noise, design."""
    points, design = stack(satellite, epochs, seed)
    rng = np.random.default_rng(seed + 100)
    truth = rng.uniform(-1, 1, (2, count)) * np.array([[velocity], [height]])
    spread = noise if np.isscalar(noise) else rng.uniform(*noise, (1, count))
    error = rng.standard_normal((epochs, count)) * spread
    phase = np.zeros((epochs + 1, count + 1), np.float32)
    middle = epochs // 2
    rows = np.delete(np.arange(epochs + 1), middle)
    phase[rows, 1:] = np.angle(np.exp(1j * (design.T @ truth + error)))
    arcs = xr.Dataset({"start": ("arc", np.zeros(count, int)), "end": ("arc", np.arange(1, count + 1))})
    return points.assign(phase=(("time", "point"), phase)), arcs, truth, error, design


def found_of(result: xr.Dataset) -> np.ndarray:
    return np.array([result.velocity.values, result.residual_height.values], np.float64)


def half_cells(design: np.ndarray) -> np.ndarray:
    return np.pi / np.ptp(design, axis=1)


def paired(points: xr.Dataset, links: tuple[int, ...] = (1, 2, 3)) -> xr.Dataset:
    """The same phases as small-baseline pairs, each epoch with its next ones."""
    size = points.sizes["time"]
    first, second = np.array([(i, i + lag) for i in range(size) for lag in links if i + lag < size]).T
    phase, time, baseline = points.phase.values, points.time.values, points.perpendicular_baseline.values
    between = np.angle(np.exp(1j * (phase[second] - phase[first]))).astype(np.float32)
    kept = points.drop_vars(["phase", "time", "perpendicular_baseline"])
    return kept.assign(phase=(("pair", "point"), between)).assign_coords(
        reference=("pair", time[first]),
        secondary=("pair", time[second]),
        perpendicular_baseline=("pair", baseline[second] - baseline[first]),
    )


# Against truth


def test_signs_and_units_without_noise():
    """Velocity is towards the satellite, height up, end minus start; range and incidence are the arc's own."""
    points, truth = simulate.point_scene(
        points=40,
        epochs=50,
        velocity=np.linspace(-0.04, 0.04, 40),
        residual_height_std=8.0,
        noise_std=0.0,
        extent=(2.0, 2.0),
        incidence=(30.0, 46.0),
        slant_range=(7e5, 9e5),
        positions=np.stack([np.repeat(np.linspace(0, 2, 20), 2), np.zeros(40)], axis=1),
    )
    pairs = np.arange(0, 40, 2)  # points at one place: their range and incidence are alike
    arcs = xr.Dataset({"start": ("arc", pairs), "end": ("arc", pairs + 1)})
    result = search_phase_model(points, arcs)
    np.testing.assert_allclose(
        result.velocity, truth.velocity[pairs + 1].values - truth.velocity[pairs].values, atol=1e-6
    )
    heights = truth.residual_height.values
    np.testing.assert_allclose(result.residual_height, heights[pairs + 1] - heights[pairs], atol=1e-3)
    np.testing.assert_allclose(result.temporal_coherence, 1.0, atol=1e-5)
    np.testing.assert_allclose(result.ambiguity_probability, 1.0, atol=1e-4)
    assert (result.velocity_std < 1e-6).all()
    assert (result.epoch_count == 49).all()
    assert (result.status == Status.OK).all()


def test_the_weight_of_the_reference_epoch_whose_std_is_zero_does_not_count():
    points, _ = simulate.point_scene(points=30, epochs=21, reference=10, noise_std=0.3, seed=3)
    arcs = delaunay_arcs(points)
    std = xr.DataArray(np.where(np.arange(21) == 10, 0.0, 0.3), dims="time")
    with np.errstate(divide="ignore"):
        weighted = search_phase_model(points, arcs, weights=1 / std**2)
        other = 1 / std.roll(time=1) ** 2
    xr.testing.assert_allclose(weighted, search_phase_model(points, arcs), rtol=1e-4)
    with pytest.raises(InputError, match="infinite where a std is zero"):
        search_phase_model(points, arcs, weights=other)


@pytest.mark.parametrize("satellite", SATELLITES)
@pytest.mark.parametrize(("noise", "most", "spread"), [(0.6, 1.01, 0.03), (1.0, 1.05, 0.05)])
def test_as_precise_as_least_squares_that_knows_the_ambiguities(satellite, noise, most, spread):
    count = 8000
    points, arcs, truth, error, design = arcs_of(satellite, count=count, noise=noise)
    result = search_phase_model(points, arcs, velocity=(-0.04, 0.04))
    miss = found_of(result) - truth
    assert (np.abs(miss) < half_cells(design)[:, None]).all()
    centred = design - design.mean(axis=1, keepdims=True)
    oracle = np.linalg.pinv(centred.T) @ (error - error.mean(axis=0))
    rms = np.sqrt((miss**2).mean(axis=1))
    # Relative to least squares on the same noise, so that the luck of the draw cancels.
    assert (rms / np.sqrt((oracle**2).mean(axis=1)) < most).all()
    stated = np.sqrt([(result[f"{name}_std"].values ** 2).mean() for name in ("velocity", "residual_height")])
    np.testing.assert_allclose(stated / rms, 1.0, atol=spread + 1.5 / np.sqrt(2 * count))


def test_a_first_epoch_as_reference_does_as_well():
    """The design is far from centred then, and velocity strongly tied to the constant."""
    rng = np.random.default_rng(2)
    count = 4000
    points, truth = simulate.point_scene(
        points=2 * count, epochs=41, reference=0, velocity=rng.uniform(-0.02, 0.02, 2 * count), noise_std=0.5, seed=3
    )
    arcs = xr.Dataset({"start": ("arc", np.arange(count)), "end": ("arc", np.arange(count, 2 * count))})
    result = search_phase_model(points, arcs)
    expected = np.array(
        [truth[name].values[count:] - truth[name].values[:count] for name in ("velocity", "residual_height")]
    )
    design = phase_design(points)
    columns = np.array([design.velocity[1:], design.height[1:]])
    centred = columns - columns.mean(axis=1, keepdims=True)
    noise = (truth.noise.values[:, count:] - truth.noise.values[:, :count])[1:]
    oracle = np.linalg.pinv(centred.T) @ (noise - noise.mean(axis=0))
    rms = np.sqrt(((found_of(result) - expected) ** 2).mean(axis=1))
    assert (rms / np.sqrt((oracle**2).mean(axis=1)) < 1.02).all()


def test_std_covers_the_truth():
    points, arcs, truth, _, _ = arcs_of(count=5000, noise=0.7, epochs=40)
    result = search_phase_model(points, arcs, velocity=(-0.06, 0.06))
    from scipy.stats import t

    for name, miss in zip(("velocity", "residual_height"), found_of(result) - truth, strict=True):
        scaled = np.abs(miss / result[f"{name}_std"].values)
        assert (scaled < t.ppf(0.975, 37)).mean() == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("epochs", [15, 25, 50])
def test_probability_is_calibrated(epochs):
    """Of arcs said to be right with 99 % about so many are, and so down to a half."""
    said, right = [], []
    for seed in (1, 2):
        points, arcs, truth, _, design = arcs_of(
            "tsx", count=1500, epochs=epochs, noise=(1.0, 1.6), velocity=0.04, height=40.0, seed=seed
        )
        result = search_phase_model(points, arcs, velocity=(-0.04, 0.04), residual_height=(-40.0, 40.0))
        said.append(result.ambiguity_probability.values)
        right.append((np.abs(found_of(result) - truth) < half_cells(design)[:, None]).all(axis=0))
    said, right = np.concatenate(said), np.concatenate(right)
    # never much surer than right; a little less sure, because some arcs might have held no signal
    assert -0.01 < right.mean() - said.mean() < 0.09
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.97, 0.999)):
        chosen = (said >= low) & (said < high)
        if chosen.sum() > 50:
            mean = said[chosen].mean()
            error = np.sqrt(mean * (1 - mean) / chosen.sum())
            assert -2.5 * error < right[chosen].mean() - mean < 0.2 * (1 - low) + 2.5 * error


def test_many_epochs_of_noise_are_known_for_noise():
    points, arcs, *_ = arcs_of(count=1000, epochs=150, noise=50.0)
    assert search_phase_model(points, arcs).ambiguity_probability.mean() < 0.3


@pytest.mark.parametrize("by_pair", [False, True])
def test_few_epochs_with_little_noise_are_said_to_be_right(by_pair):
    """Nearly all such arcs are right, and nearly all of them must be known to be."""
    said, right = [], []
    for epochs in (12, 16):
        points, arcs, truth, _, design = arcs_of(
            count=1000, epochs=epochs, noise=(0.2, 0.5), velocity=0.04, height=40.0, seed=epochs
        )
        stacked = paired(points) if by_pair else points
        result = search_phase_model(stacked, arcs, velocity=(-0.04, 0.04), residual_height=(-40.0, 40.0))
        said.append(result.ambiguity_probability.values > 0.99)
        right.append((np.abs(found_of(result) - truth) < half_cells(design)[:, None]).all(axis=0))
    said, right = np.concatenate(said), np.concatenate(right)
    assert right[said].mean() > 0.985
    assert said[right].mean() > 0.93


def test_pure_noise_is_not_said_to_be_right():
    points, arcs, *_ = arcs_of("tsx", count=3000, epochs=40, noise=50.0)
    result = search_phase_model(points, arcs)
    assert (result.ambiguity_probability > 0.99).mean() < 0.005
    assert (result.temporal_coherence > result.attrs["noise_coherence"]).mean() == pytest.approx(0.05, abs=0.015)


# Against the definition, written out


def test_the_peak_is_the_highest_of_a_fine_grid():
    points, arcs, _, _, design = arcs_of(count=60, epochs=30, noise=1.1)
    box = (-0.06, 0.06), (-60.0, 60.0)
    result = search_phase_model(points, arcs, velocity=box[0], residual_height=box[1])
    phase = np.delete(points.phase.values, 15, axis=0)[:, 1:]
    velocities, heights = np.linspace(*box[0], 400), np.linspace(*box[1], 300)
    turn = np.exp(-1j * np.outer(velocities, design[0]))[:, None] * np.exp(-1j * np.outer(heights, design[1]))
    surface = np.abs(np.einsum("vhi,ia->vha", turn, np.exp(1j * phase), optimize=True)) / 30
    highest = surface.max(axis=(0, 1))
    # wrapped least squares ends beside the peak of coherence, by less than the noise
    assert (result.temporal_coherence > 0.93 * highest).mean() > 0.95
    own = np.abs(np.exp(1j * (phase - design.T @ found_of(result))).mean(axis=0))
    np.testing.assert_allclose(result.temporal_coherence, own, atol=2e-5)
    # the second peak: the highest further than a resolution cell from the first in any parameter
    cell = 2 * half_cells(design)
    second = np.empty(60)
    for a in range(60):
        near_v = np.abs(velocities - result.velocity.values[a]) < 1.5 * cell[0]
        near_h = np.abs(heights - result.residual_height.values[a]) < 1.5 * cell[1]
        second[a] = np.where(near_v[:, None] & near_h, 0.0, surface[:, :, a]).max()
    ratio = result.peak_ratio.values * own / second
    assert ratio.min() > 0.6
    assert (ratio > 0.85).mean() > 0.85


def test_std_is_that_of_least_squares_where_noise_is_small():
    points, arcs, truth, error, design = arcs_of(count=50, noise=0.15)
    result = search_phase_model(points, arcs, velocity=(-0.04, 0.04))
    matrix = np.column_stack([np.ones(85), design.T])
    coefficients, rss, *_ = np.linalg.lstsq(matrix, design.T @ truth + error, rcond=None)
    np.testing.assert_allclose(
        found_of(result) / coefficients[1:].std(axis=1, keepdims=True),
        coefficients[1:] / coefficients[1:].std(axis=1, keepdims=True),
        rtol=0,
        atol=1e-4,
    )
    std = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix))[1:, None] * rss / 82)
    np.testing.assert_allclose(result.velocity_std, std[0], rtol=2e-3)
    np.testing.assert_allclose(result.residual_height_std, std[1], rtol=2e-3)


def test_weights_are_those_of_weighted_least_squares():
    points, arcs, truth, _, design = arcs_of(count=400, noise=0.1)
    rng = np.random.default_rng(5)
    spread = np.where(rng.random(86) < 0.4, 1.2, 0.2)
    spread[42] = 0.0
    noisy = points.phase.values.astype(float)
    noisy[:, 1:] += spread[:, None] * rng.standard_normal((86, 400))
    points["phase"] = points.phase.copy(data=np.angle(np.exp(1j * noisy)).astype("f4"))
    weights = xr.DataArray(1 / (0.01 + spread**2), dims="time", coords={"time": points.time})
    plain = search_phase_model(points, arcs)
    weighted = search_phase_model(points, arcs, weights=weights)
    scatter = [np.std(found_of(each) - truth, axis=1) for each in (plain, weighted)]
    w = np.delete(weights.values, 42)
    centred = design - (design @ w / w.sum())[:, None]
    bound = np.sqrt(np.diag(np.linalg.inv((centred * w) @ centred.T)))
    assert (scatter[1] < 0.6 * scatter[0]).all()
    np.testing.assert_allclose(scatter[1], bound, rtol=0.1)
    np.testing.assert_allclose(weighted.velocity_std.mean(), scatter[1][0], rtol=0.1)
    xr.testing.assert_allclose(weighted, search_phase_model(points, arcs, weights=7 * weights), rtol=1e-4)


def test_weight_zero_leaves_an_epoch_out():
    points, arcs, *_ = arcs_of(count=40, epochs=40)
    keep = np.ones(41)
    keep[[3, 30]] = 0.0
    without = search_phase_model(points.isel(time=keep > 0), arcs)
    xr.testing.assert_identical(search_phase_model(points, arcs, weights=xr.DataArray(keep, dims="time")), without)


# Missing data


def test_missing_epochs_are_left_out_arc_by_arc():
    points, arcs, *_ = arcs_of(count=70, epochs=40)
    holed = points.copy(deep=True)
    holed["phase"].values[[2, 17, 33], 5] = np.nan
    whole = search_phase_model(points, arcs)
    result = search_phase_model(holed, arcs)
    others = np.arange(70) != 4
    xr.testing.assert_identical(result.isel(arc=others), whole.isel(arc=others))
    alone = search_phase_model(points.isel(time=np.delete(np.arange(41), [2, 17, 33])), arcs.isel(arc=[4]))
    assert result.epoch_count[4] == 37
    for name in ("velocity", "residual_height", "velocity_std", "temporal_coherence"):
        np.testing.assert_allclose(result[name][4], alone[name][0], rtol=2e-3, err_msg=name)


def test_arcs_with_too_few_epochs_are_nan_with_a_status():
    points, arcs, *_ = arcs_of(count=40, epochs=20)
    phase = points.phase.values
    phase[:, 1] = np.nan
    phase[3:, 2] = np.nan
    phase[4:, 3] = np.nan  # four are enough
    result = search_phase_model(points, arcs)
    assert result.status.values[:4].tolist() == [Status.NO_DATA, Status.TOO_FEW_PAIRS, Status.OK, Status.OK]
    assert result.epoch_count.values[:4].tolist() == [0, 3, 4, 20]
    for name in ("velocity", "residual_height_std", "temporal_coherence", "peak_ratio", "ambiguity_probability"):
        assert np.isnan(result[name].values[:2]).all(), name
        assert np.isfinite(result[name].values[2:]).all(), name


def test_epochs_that_do_not_tell_parameters_apart_are_flagged():
    points, arcs, *_ = arcs_of(count=3, epochs=12)
    baseline = points.perpendicular_baseline.values.copy()
    baseline[:6] = baseline[0]
    points = points.assign_coords(perpendicular_baseline=("time", baseline))
    points["phase"].values[6:, 2] = np.nan
    points["phase"].values[6, :] = 0.0
    result = search_phase_model(points, arcs)
    assert result.status.values.tolist() == [Status.OK, Status.TOO_FEW_PAIRS, Status.OK]


# Invariances


def scene(**options) -> tuple[xr.Dataset, xr.Dataset]:
    points, _ = simulate.point_scene(points=60, epochs=25, velocity=0.01, noise_std=0.5, nan_fraction=0.03, **options)
    rng = np.random.default_rng(0)
    start, end = rng.integers(0, 30, 150), rng.integers(30, 60, 150)
    return points, xr.Dataset({"start": ("arc", start), "end": ("arc", end), "length": ("arc", np.ones(150))})


def test_an_arc_does_not_depend_on_its_neighbours_or_on_threads():
    points, arcs = scene(seed=4)
    result = search_phase_model(points, arcs, threads=1)
    many = arcs.isel(arc=np.resize(np.arange(150), 20_000))
    repeated = search_phase_model(points, many, threads=2)
    for name in result.data_vars:
        np.testing.assert_array_equal(repeated[name].values[19_950:], np.resize(result[name].values, 20_000)[19_950:])
    order = np.random.default_rng(1).permutation(150)
    xr.testing.assert_identical(search_phase_model(points, arcs.isel(arc=order)), result.isel(arc=order))


@given(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_turning_arcs_round_turns_the_sign(seed):
    points, arcs = scene(seed=seed)
    there = search_phase_model(points, arcs)
    back = search_phase_model(points, arcs.rename(start="end", end="start"))
    # where the second peak is nearly as high, rounding may choose
    clear = there.peak_ratio.values < 0.95
    for name in ("velocity", "residual_height"):
        np.testing.assert_allclose(back[name].values[clear], -there[name].values[clear], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(back.temporal_coherence[clear], there.temporal_coherence[clear], atol=1e-4)


@given(st.integers(0, 1000), st.floats(-3, 3))
@settings(max_examples=5, deadline=None)
def test_noise_of_the_reference_epoch_changes_nothing(seed, constant):
    """It is the same in all epochs of an arc; whole turns of a phase change nothing either."""
    points, arcs, *_ = arcs_of(count=40, epochs=30, noise=0.4, seed=seed % 7)
    rng = np.random.default_rng(seed)
    before = search_phase_model(points, arcs)
    moved = points.phase.values + np.where(np.arange(31)[:, None] == 15, 0.0, constant * (np.arange(41) > 0))
    turned = moved + 2 * np.pi * rng.integers(-1, 2, moved.shape) * (np.arange(31)[:, None] != 15)
    after = search_phase_model(points.assign(phase=(("time", "point"), turned.astype("f4"))), arcs)
    np.testing.assert_allclose(after.velocity, before.velocity, atol=2e-5)
    np.testing.assert_allclose(after.temporal_coherence, before.temporal_coherence, atol=1e-4)


def test_duplicate_points_and_an_arc_to_itself_are_no_trouble():
    points, arcs = scene(seed=2)
    arcs["end"].values[0] = arcs["start"].values[0]
    result = search_phase_model(points, arcs)
    assert result.velocity[0] == pytest.approx(0.0, abs=1e-6)
    assert result.temporal_coherence[0] == pytest.approx(1.0, abs=1e-5)


def test_progress_and_inputs():
    points, arcs = scene(seed=3)
    told = []
    points["phase"].values.flags.writeable = False
    before = points.copy(deep=True), arcs.copy(deep=True)
    search_phase_model(points.transpose("point", "time"), arcs, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (150, 150)
    xr.testing.assert_identical(points, before[0])
    xr.testing.assert_identical(arcs, before[1])


# Geometry


def test_baselines_by_point_equal_shared_ones():
    points, arcs, *_ = arcs_of(count=300, epochs=40, noise=0.5, height=30.0)
    wide = np.repeat(points.perpendicular_baseline.values[:, None], 301, axis=1)
    by_point = points.assign_coords(perpendicular_baseline=(("time", "point"), wide))
    for box in ((-40.0, 40.0), (-35.0, 45.0)):
        one, other = (search_phase_model(each, arcs, residual_height=box) for each in (points, by_point))
        for name in ("velocity", "residual_height", "velocity_std", "temporal_coherence"):
            np.testing.assert_allclose(other[name], one[name], rtol=5e-3, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(other.ambiguity_probability, one.ambiguity_probability, atol=1e-3)
    per_metre = xr.DataArray(PER_METRE * wide / (RANGE * np.sin(np.deg2rad(INCIDENCE))), dims=("time", "point"))
    bare = points.drop_vars(["perpendicular_baseline", "slant_range", "incidence"])
    given_phase = search_phase_model(bare.assign_coords(height_to_phase=per_metre), arcs)
    np.testing.assert_allclose(given_phase.residual_height, search_phase_model(points, arcs).residual_height, atol=1e-3)


def test_a_box_of_a_single_height():
    points, arcs, truth, *_ = arcs_of("ers", count=2000, epochs=40, noise=0.4, height=30.0)
    inside = np.flatnonzero((truth[1] > 18.2) & (truth[1] < 19.8))
    wide = np.repeat(points.perpendicular_baseline.values[:, None], 2001, axis=1)
    for each in (points, points.assign_coords(perpendicular_baseline=(("time", "point"), wide))):
        result = search_phase_model(each, arcs.isel(arc=inside), residual_height=(18.0, 20.0))
        np.testing.assert_allclose(result.velocity, truth[0, inside], atol=1e-3)
        np.testing.assert_allclose(result.residual_height, truth[1, inside], atol=2.0)


def test_baselines_that_vary_over_the_scene():
    """Each arc has its own; points without are left out."""
    points, arcs, truth, error, design = arcs_of(count=200, epochs=40, noise=0.3)
    factor = np.linspace(0.6, 1.4, 201)
    wide = points.perpendicular_baseline.values[:, None] * factor
    rows = np.delete(np.arange(41), 20)
    own = design[1][:, None] * 0.5 * (factor[1:] + factor[0])
    phase = points.phase.values.copy()
    phase[rows, 1:] = np.angle(np.exp(1j * (np.outer(design[0], truth[0]) + own * truth[1] + error)))
    wide[:, 7] = np.nan
    wide[3, 8] = np.nan
    varied = points.assign(phase=(("time", "point"), phase))
    result = search_phase_model(varied.assign_coords(perpendicular_baseline=(("time", "point"), wide)), arcs)
    assert result.status.values[6] == Status.NO_DATA
    assert result.epoch_count.values[7] == 39
    miss = np.delete(found_of(result) - truth, 6, axis=1)
    stated = np.delete(result.residual_height_std.values, 6)
    assert np.std(miss[1] / stated) == pytest.approx(1.0, abs=0.15)


def test_velocity_alone():
    points, arcs, truth, *_ = arcs_of(count=300, noise=0.3, height=0.0)
    bare = points.drop_vars(["perpendicular_baseline", "slant_range", "incidence"])
    result = search_phase_model(bare, arcs)
    assert "residual_height" not in result
    assert "residual_height_box" not in result.attrs
    np.testing.assert_allclose(result.velocity, truth[0], atol=6 * float(result.velocity_std.mean()))
    without = search_phase_model(points, arcs, residual_height=None)
    xr.testing.assert_allclose(without.drop_attrs(), result.drop_attrs())


def test_equal_baselines_leave_heights_unknown():
    points, arcs, *_ = arcs_of(count=5, noise=0.3, height=0.0)
    with pytest.warns(SuspiciousDataWarning, match="baselines are equal"):
        result = search_phase_model(
            points.assign_coords(perpendicular_baseline=0 * points.perpendicular_baseline), arcs
        )
    assert np.isnan(result.residual_height).all()
    assert np.isnan(result.residual_height_std).all()
    assert (result.status == Status.OK).all()
    assert np.isfinite(result.velocity).all()


# More parameters


def test_seasonal_motion_and_thermal_expansion():
    rng = np.random.default_rng(3)
    points, arcs, truth, error, design = arcs_of(count=250, noise=0.4, epochs=60)
    rows = np.delete(np.arange(61), 30)
    temperature = xr.DataArray(15 + rng.normal(0, 8, 61), dims="time")
    points = points.assign_coords(temperature=temperature)
    full = phase_design(points)
    extra = {
        "seasonal_sine": rng.uniform(-0.008, 0.008, 250),
        "seasonal_cosine": rng.uniform(-0.008, 0.008, 250),
        "thermal_expansion": rng.uniform(-4e-4, 4e-4, 250),
    }
    columns = (full.seasonal_sine, full.seasonal_cosine, full.thermal)
    added = sum(np.outer(column[rows], value) for column, value in zip(columns, extra.values(), strict=True))
    year = (points.time.values - points.time.values.min().astype("M8[Y]")) / np.timedelta64(1, "ns") / 365.25 / 86400e9
    by_hand = PER_METRE * (np.sin(2 * np.pi * year) - np.sin(2 * np.pi * year[30]))
    np.testing.assert_allclose(full.seasonal_sine, by_hand, atol=1e-9)
    phase = points.phase.values.copy()
    phase[rows, 1:] = np.angle(np.exp(1j * (design.T @ truth + added + error)))
    points = points.assign(phase=(("time", "point"), phase))
    result = search_phase_model(points, arcs, velocity=(-0.04, 0.04), seasonal=0.01, thermal_expansion=(-5e-4, 5e-4))
    expected = {"velocity": truth[0], "residual_height": truth[1], **extra}
    sure = result.ambiguity_probability.values > 0.99
    assert sure.mean() > 0.9
    for name, value in expected.items():
        scaled = (result[name].values - value)[sure] / result[f"{name}_std"].values[sure]
        assert np.std(scaled) == pytest.approx(1.0, abs=0.2), name
    assert result.attrs["seasonal_sine_box"] == [-0.01, 0.01]
    # left out, they spoil the fit
    assert search_phase_model(points, arcs).temporal_coherence.mean() < result.temporal_coherence.mean() - 0.2
    partly = search_phase_model(points, arcs, residual_height=None, thermal_expansion=(-5e-4, 5e-4))
    assert set(partly.data_vars) >= {"velocity", "thermal_expansion_std"}


# Pairs


@pytest.mark.parametrize(("noise", "missing"), [(0.5, 0.0), (0.5, 0.1), (0.65, 0.0)])
def test_pairs_are_as_precise_as_their_images_allow(noise, missing):
    """Noise of images alone: the bound is that of the epochs, which the pairs by themselves miss by far."""
    points, arcs, truth, error, design = arcs_of(count=1500, epochs=50, noise=noise, height=5.0)
    stacked = paired(points)
    if missing:
        gone = np.random.default_rng(0).random(stacked.phase.shape) < missing
        stacked["phase"] = stacked.phase.where(~gone)
    result = search_phase_model(stacked, arcs)
    # the reference epoch has no noise here, as if it were one more epoch of no error: the epochs' own bound
    whole = np.column_stack([np.zeros(2), design])
    all_noise = np.vstack([np.zeros(1500), error])
    centred = whole - whole.mean(axis=1, keepdims=True)
    oracle = np.linalg.pinv(centred.T) @ (all_noise - all_noise.mean(axis=0))
    right = np.abs(found_of(result)[0] - truth[0]) < 0.02
    assert right.mean() > 0.995
    rms = np.sqrt(((found_of(result) - truth)[:, right] ** 2).mean(axis=1))
    bound = np.sqrt((oracle**2).mean(axis=1))
    assert (rms / bound < 1.05).all()
    stated = np.array(
        [np.sqrt((result[f"{n}_std"].values[right] ** 2).mean()) for n in ("velocity", "residual_height")]
    )
    np.testing.assert_allclose(stated / rms, 1.0, atol=0.06)
    assert result.attrs["noise_coherence"] < 0.3


def test_pairs_reversed_or_in_another_order_say_the_same():
    points, arcs, *_ = arcs_of(count=50, epochs=30, noise=0.4, height=5.0)
    stacked = paired(points)
    result = search_phase_model(stacked, arcs)
    order = np.random.default_rng(0).permutation(stacked.sizes["pair"])
    shuffled = search_phase_model(stacked.isel(pair=order), arcs)
    np.testing.assert_allclose(shuffled.velocity, result.velocity, atol=1e-5)
    flip = xr.DataArray(np.arange(stacked.sizes["pair"]) % 2 == 0, dims="pair")
    mixed = stacked.assign(phase=xr.where(flip, -stacked.phase, stacked.phase)).assign_coords(
        reference=xr.where(flip, stacked.secondary, stacked.reference),
        secondary=xr.where(flip, stacked.reference, stacked.secondary),
        perpendicular_baseline=xr.where(flip, -stacked.perpendicular_baseline, stacked.perpendicular_baseline),
    )
    np.testing.assert_allclose(search_phase_model(mixed, arcs).velocity, result.velocity, atol=1e-5)


def test_pairs_in_two_parts_have_a_constant_for_each():
    points, arcs, truth, *_ = arcs_of(count=400, epochs=60, noise=0.4, height=5.0)
    time = points.time.values
    stacked = paired(points)
    across = (stacked.reference.values < time[25]) & (stacked.secondary.values >= time[25])
    result = search_phase_model(stacked.isel(pair=~across), arcs)
    assert (result.status == Status.OK).all()
    scaled = (result.velocity.values - truth[0]) / result.velocity_std.values
    assert np.sqrt(np.mean(scaled**2)) == pytest.approx(1.0, abs=0.12)
    whole = search_phase_model(stacked, arcs)
    assert whole.velocity_std.mean() < 0.6 * result.velocity_std.mean()


def test_pairs_with_baselines_by_point():
    points, arcs, *_ = arcs_of(count=100, epochs=40, noise=0.4, height=5.0)
    stacked = paired(points)
    wide = np.repeat(stacked.perpendicular_baseline.values[:, None], 101, axis=1)
    by_point = stacked.assign_coords(perpendicular_baseline=(("pair", "point"), wide))
    one, other = search_phase_model(stacked, arcs), search_phase_model(by_point, arcs)
    for name in ("velocity", "residual_height", "residual_height_std"):
        np.testing.assert_allclose(other[name], one[name], rtol=5e-3, atol=1e-3)


# Arrays


def test_arrays_of_arc_phases_give_the_same():
    points, arcs, *_ = arcs_of(count=64, epochs=30)
    model = model_of(points, phase_design(points), velocity=(-0.1, 0.1), residual_height=(-40.0, 40.0))
    rows = np.ascontiguousarray(points.phase.values.T[1:, model.keep] - points.phase.values.T[:1, model.keep])
    found = search_arrays(rows, model, height_scale=np.ones(64) * model.height_scale[0])
    result = search_phase_model(points, arcs)
    np.testing.assert_array_equal(found["value"][0], result.velocity)
    np.testing.assert_array_equal(found["status"], result.status)
    np.testing.assert_array_equal(found["ambiguity_probability"], result.ambiguity_probability)


# Noise floor


def test_noise_floor_is_that_of_other_programs_simulations():
    """Largest coherence of pure noise, 95 % quantile, box +-0.1 m/year x +-100 m, s1; other programs' dates."""
    for epochs, published in zip((20, 30, 50, 85, 150), (0.63, 0.53, 0.42, 0.34, 0.26), strict=True):
        points, _ = stack("s1", epochs)
        cells = search_cells(points.assign(phase=(("time", "point"), np.zeros((epochs + 1, 2), "f4"))),
                             residual_height=(-100.0, 100.0))  # fmt: skip
        assert coherence_threshold(epochs, cells, 0.05) == pytest.approx(published, abs=0.02)


@pytest.mark.parametrize("epochs", [12, 40])
@pytest.mark.parametrize("by_pair", [False, True])
def test_noise_floor_is_what_noise_reaches(epochs, by_pair):
    points, arcs, *_ = arcs_of(count=4000, epochs=epochs, noise=100.0)
    if by_pair:
        points = paired(points, (1, 2))
        phase = np.random.default_rng(0).uniform(-np.pi, np.pi, points.phase.shape).astype("f4")
        phase[:, 0] = 0.0
        points = points.assign(phase=(("pair", "point"), phase))
    box = {"velocity": (-0.1, 0.1), "residual_height": (-60.0, 60.0)}
    result = search_phase_model(points, arcs, **box)
    cells = search_cells(points, **box)
    n = points.phase.shape[0] - (not by_pair)
    for level in (0.5, 0.1, 0.02):
        floor = coherence_threshold(n, cells, level, pairs=by_pair)
        tolerance = 4 * np.sqrt(level * (1 - level) / 4000) + 0.12 * level
        assert (result.temporal_coherence > floor).mean() == pytest.approx(level, abs=tolerance)


def test_noise_floor_without_a_choice_is_rayleighs():
    assert coherence_threshold(100, 0.0, 0.05) == pytest.approx(np.sqrt(-np.log(0.05) / 100), abs=0.003)
    assert coherence_threshold(30, (10.0, 5.0), 0.01) > coherence_threshold(30, (10.0, 5.0), 0.1)
    assert coherence_threshold(30, (10.0, 5.0, 2.0), 0.05) > coherence_threshold(30, (10.0, 5.0), 0.05)
    assert coherence_threshold(2, (1000.0, 1000.0), 0.05) == pytest.approx(1.0, abs=0.01)


# A look at one arc


def test_surface_has_its_peak_where_the_search_finds_it():
    points, arcs, *_ = arcs_of(count=3, noise=0.3, epochs=40)
    result = search_phase_model(points, arcs)
    surface = coherence_surface(points, 0, 2, nodes=(801, 401))
    assert dict(surface.sizes) == {"residual_height": 401, "velocity": 801}
    highest = surface.temporal_coherence.isel(surface.temporal_coherence.argmax(...))
    assert highest == pytest.approx(float(result.temporal_coherence[1]), abs=0.01)
    assert highest.velocity == pytest.approx(float(result.velocity[1]), abs=5e-4)
    assert highest.residual_height == pytest.approx(float(result.residual_height[1]), abs=2.0)
    line = coherence_surface(points, 0, 2, residual_height=None, nodes=(51, 2))
    assert line.temporal_coherence.dims == ("velocity",)


def test_surface_of_pairs_and_of_baselines_by_point():
    points, arcs, *_ = arcs_of(count=3, noise=0.2, epochs=40, height=5.0)
    stacked = paired(points)
    wide = np.repeat(stacked.perpendicular_baseline.values[:, None], 4, axis=1)
    one = coherence_surface(stacked, 0, 1)
    other = coherence_surface(stacked.assign_coords(perpendicular_baseline=(("pair", "point"), wide)), 0, 1)
    np.testing.assert_allclose(other.temporal_coherence, one.temporal_coherence, atol=1e-6)
    assert one.temporal_coherence.min() == 0.0  # the real part, where it is positive
    highest = one.temporal_coherence.isel(one.temporal_coherence.argmax(...))
    assert highest == pytest.approx(float(search_phase_model(stacked, arcs).temporal_coherence[0]), abs=0.02)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocity": (0.1, -0.1)}, "velocity must be .lowest, highest."),
        ({"velocity": (0.0, np.inf)}, "velocity must be"),
        ({"velocity": 0.1}, "velocity must be"),
        ({"residual_height": (3.0, 3.0)}, "residual_height must be"),
        ({"seasonal": -0.01}, "seasonal must be"),
        ({"thermal_expansion": (-1e-4, 1e-4)}, "needs 'temperature'"),
        ({"velocity": (-100.0, 100.0)}, "grid nodes"),
        ({"weights": np.ones(31)}, "weights must be a DataArray"),
        ({"weights": xr.DataArray(np.ones(30), dims="time")}, "of size 31"),
        ({"weights": xr.DataArray(-np.ones(31), dims="time")}, "not negative"),
        ({"weights": xr.DataArray(np.zeros(31), dims="time")}, "0 usable times"),
        ({"weights": xr.DataArray(["all"] * 31, dims="time")}, "weights must be a DataArray of numbers"),
        ({"seasonal": 0}, "seasonal must be the largest amplitude"),
        ({"seasonal": True}, "seasonal must be the largest amplitude"),
        ({"threads": 0}, "threads must be"),
    ],
)
def test_options_out_of_range_are_refused(change, message):
    points, arcs, *_ = arcs_of(count=3, epochs=30)
    if "velocity" in change and change["velocity"] == (-100.0, 100.0):
        change = {**change, "seasonal": 1.0}
    with pytest.raises(InputError, match=message):
        search_phase_model(points, arcs, **change)


def test_weights_of_other_dates_are_refused():
    points, arcs, *_ = arcs_of(count=3, epochs=30)
    weights = xr.DataArray(np.ones(31), {"time": points.time.values + np.timedelta64(1, "D")}, "time")
    with pytest.raises(InputError, match="coordinate 'time'"):
        search_phase_model(points, arcs, weights=weights)


def test_arcs_that_do_not_fit_are_refused():
    points, arcs, *_ = arcs_of(count=3, epochs=30)
    with pytest.raises(InputError, match=r"end must number points 0\.\.3, got 2\.\.4"):
        search_phase_model(points, arcs.assign(end=arcs.end + 1))
    with pytest.raises(InputError, match="start must number"):
        search_phase_model(points, arcs.assign(start=arcs.start - 1))
    with pytest.raises(InputError, match="empty"):
        search_phase_model(points, arcs.isel(arc=[]))
    with pytest.raises(SchemaError, match="'end' is missing"):
        search_phase_model(points, arcs.drop_vars("end"))
    with pytest.raises(InputError, match=r"must be an xarray\.Dataset"):
        search_phase_model(points.phase, arcs)


def test_too_few_scenes_are_refused():
    points, arcs, *_ = arcs_of(count=3, epochs=30)
    with pytest.raises(InputError, match="3 usable times besides the reference, at least 4"):
        search_phase_model(points.isel(time=slice(13, 17)), arcs)
    with pytest.raises(InputError, match="at least 6"):
        search_phase_model(points.isel(time=slice(13, 18)), arcs, seasonal=0.01)


def test_a_surface_that_makes_no_sense_is_refused():
    points, *_ = arcs_of(count=3, epochs=30)
    with pytest.raises(InputError, match="end must be the number of a point"):
        coherence_surface(points, 0, 4)
    with pytest.raises(InputError, match="nodes must be"):
        coherence_surface(points, 0, 1, nodes=(1, 5))
    with pytest.raises(InputError, match="nodes must be"):
        coherence_surface(points, 0, 1, nodes=(10.5, 5))
    with pytest.raises(InputError, match="10,000,000 nodes in all"):
        coherence_surface(points, 0, 1, nodes=(100_000, 100_000))
    points["phase"].values[3:, 1] = np.nan
    with pytest.raises(InputError, match="3 usable times"):
        coherence_surface(points, 0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 5.0, 0.05),
        ("many", 5.0, 0.05),
        (20, -1.0, 0.05),
        (20, (3.0, np.nan), 0.05),
        (20, "wide", 0.05),
        (20, 5.0, 0.0),
        (20, 5.0, 1.0),
        (20, 5.0, [0.05]),
    ],
)
def test_thresholds_of_nothing_are_refused(arguments):
    with pytest.raises(InputError):
        coherence_threshold(*arguments)


def test_the_result_is_of_its_kind():
    points, arcs = scene(seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = search_phase_model(points, arcs)
    schema.ARCS.check(result)
    xr.testing.assert_identical(schema.ARCS.stamp(result), result)
    assert result.attrs["velocity_box"] == [-0.1, 0.1]
    assert 0 < result.attrs["noise_coherence"] < 1
    assert "length" in result
    assert result.velocity.attrs["units"] == "m/year"
