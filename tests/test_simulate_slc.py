"""Simulated images against theory: exact ranges, speckle statistics, spectra, none of it from the simulator."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import schema, simulate
from subsidence.errors import InputError
from subsidence.geometry import EARTH_RADIUS, baseline_phase, height_to_phase, look_angle

WAVELENGTH = 0.0555
TURN = 4 * np.pi / WAVELENGTH
#: Nothing but the ground: no motion, delay, points, error of height, loss of coherence or wrong calibration.
QUIET: dict[str, Any] = {
    "bowl": None,
    "seasonal_amplitude": 0.0,
    "atmosphere": None,
    "dem_error_std": 0.0,
    "residual_height_std": 0.0,
    "decorrelation": None,
    "calibration_std": 0.0,
    "point_density": 0.0,
    "baseline_std": 0.0,
}
SMALL = {"shape": (40, 50), "epochs": 8}


def interferograms(slc: xr.Dataset, reference: int = 0) -> np.ndarray:
    """Wrapped phase of every epoch, secondary minus reference, positive away."""
    return np.angle(slc.slc.values[reference] * slc.slc.values.conj())


def wrapped(phase: np.ndarray) -> np.ndarray:
    return np.angle(np.exp(1j * np.asarray(phase, np.float64)))


def ground_look(dataset: xr.Dataset) -> xr.DataArray:
    """Look angle towards the ground at `height`, from the look angle of the reference surface."""
    incidence = np.deg2rad(dataset.incidence)
    height = dataset.height.astype(np.float64)
    return look_angle(dataset.incidence, dataset.slant_range) + np.rad2deg(
        height / (dataset.slant_range * np.sin(incidence))
    )


def towards(slc: xr.Dataset, look: xr.DataArray) -> np.ndarray:
    """Phase of the baselines of every epoch."""
    return (
        baseline_phase(
            slc.perpendicular_baseline,
            look,
            wavelength=WAVELENGTH,
            centre_look=slc.attrs["centre_look"],
            parallel_baseline=slc.parallel_baseline,
        )
        .transpose("time", "y", "x")
        .values
    )


def model(slc: xr.Dataset, truth: xr.Dataset, reference: int = 0) -> np.ndarray:
    """Phase of the epochs relative to one of them, from the truth: motion, delays, flat earth, topography."""
    moved = (truth.displacement + truth.atmosphere).values.astype(np.float64)
    phase = -TURN * moved + towards(slc, ground_look(truth))
    return phase - phase[reference]


# the whole ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, xr.Dataset]:
    return simulate.slc_scene(seed=1)


def test_default_scene_is_a_valid_stack_and_series(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    slc, truth = scene
    needs = ("perpendicular_baseline", "parallel_baseline", "incidence", "slant_range", "heading", "height")
    schema.SLC.check(slc, needs=needs)
    schema.SERIES.check(truth, needs=("displacement", "velocity", "atmosphere", "residual_height"))
    assert dict(slc.sizes) == {"time": 48, "y": 200, "x": 240}
    assert slc.slc.dtype == np.complex64
    assert np.isfinite(slc.slc.values).all()
    for name in truth.data_vars:
        assert truth[name].attrs["long_name"], name
        assert truth[name].dtype == bool or truth[name].attrs["units"], name
    assert np.all(np.diff(slc.x) == 4)
    assert np.all(np.diff(slc.y) == -14)
    assert slc.attrs["phase_removed"] == ""
    reference = slc.sel(time=slc.attrs["reference_time"])
    assert float(reference.perpendicular_baseline) == float(reference.parallel_baseline) == 0
    np.testing.assert_array_equal(truth.displacement[0], 0)
    assert truth.attrs["reference_time"] == str(truth.time.values[0].astype("M8[s]"))
    # the elevation model is the true height less what it lacks
    np.testing.assert_allclose(truth.height - truth.residual_height, slc.height, atol=1e-4)
    # a settling town rich in points, fields with few
    town = truth.town > 0.5
    centre = truth.isel(y=truth.attrs["bowl_row"], x=truth.attrs["bowl_col"])
    assert -0.08 < float(centre.displacement[-1]) < -0.03
    assert 0.4 < float(town.mean()) < 0.6
    assert float(truth.is_point.where(town).mean()) > 10 * float(truth.is_point.where(~town).mean())
    assert float(truth.long_term_coherence.where(town).mean()) > 0.2 + float(
        truth.long_term_coherence.where(~town).mean()
    )
    # the bowl turns by much less than half a cycle from pixel to pixel, and from point to point in an epoch
    assert float(abs(truth.displacement[-1].diff("x")).max()) < WAVELENGTH / 4 / 10


def test_range_and_incidence_belong_to_one_orbit() -> None:
    slc, _ = simulate.slc_scene(shape=(3, 4001), spacing=(14.0, 20.0), epochs=2, incidence=36.0, slant_range=850e3)
    across = slc.isel(y=0)
    assert float(across.incidence[2000]) == pytest.approx(36.0, abs=1e-9)
    assert float(across.slant_range[2000]) == pytest.approx(850e3, abs=1e-6)
    incidence, distance = np.deg2rad(across.incidence.values), across.slant_range.values
    orbit = np.sqrt(EARTH_RADIUS**2 + distance**2 + 2 * EARTH_RADIUS * distance * np.cos(incidence))
    np.testing.assert_allclose(orbit, orbit[0], rtol=1e-12)
    # along the surface, range grows by the sine of the incidence
    growth = np.diff(distance) / 20.0
    np.testing.assert_allclose(growth, np.sin((incidence[1:] + incidence[:-1]) / 2), atol=1e-6)
    assert slc.attrs["centre_look"] == float(look_angle(float(slc.incidence.median()), float(slc.slant_range.median())))


# phase ----------------------------------------------------------------------------------------------------


def test_a_subsiding_place_has_positive_phase() -> None:
    bowl = simulate.Bowl(settlement=0.01, function="linear", parameters={"rate": 1.0})
    slc, truth = simulate.slc_scene(**SMALL, **(QUIET | {"bowl": bowl}))
    phase = interferograms(slc)[-1]
    row, column = truth.attrs["bowl_row"], truth.attrs["bowl_col"]
    down = -truth.displacement_up.values[-1, row, column]
    assert down > 0.002
    assert phase[row, column] == pytest.approx(TURN * down * np.cos(np.deg2rad(39.0)), rel=1e-3)
    assert phase[row, column] == phase.max() > 0


@pytest.mark.parametrize("reference", [0, 5])
def test_phase_without_noise_is_that_of_the_truth(reference: int) -> None:
    def wave(years: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.003 * years**2 * np.cos(x / 60) * np.sin(y / 50)

    options = {"velocity": -0.02, "acceleration": 0.01, "relief": 200.0, "motion": wave, "seed": 4}
    still = {"decorrelation": None, "point_density": 0.0, "calibration_std": 0.2}
    slc, truth = simulate.slc_scene(shape=(70, 75), epochs=9, reference=reference, **options, **still)
    expected = model(slc, truth, reference=3)
    assert np.ptp(expected) > 1000  # hundreds of cycles
    assert np.abs(wrapped(interferograms(slc, 3) - expected)).max() < 2e-5
    # the motion is what was asked for, in closed form
    years = (truth.time.values - truth.time.values[0]) / np.timedelta64(1, "D") / 365.25
    centre = truth.isel(y=truth.attrs["bowl_row"], x=truth.attrs["bowl_col"])
    bowl = -0.08 * -np.expm1(-0.6 * years**1.5)
    t, place = years, (float(centre.x), float(centre.y))
    day = (truth.time.values - np.datetime64("2018-01-01")) / np.timedelta64(1, "D") / 365.25
    season = 0.002 * (np.cos(2 * np.pi * day - 4) - np.cos(2 * np.pi * day[0] - 4))
    up = bowl - 0.02 * t + 0.005 * t**2 + season + wave(t, place[0], place[1])
    np.testing.assert_allclose(centre.displacement_up, up, atol=1e-7)
    los = np.cos(np.deg2rad(truth.incidence.values))
    np.testing.assert_allclose(truth.displacement, truth.displacement_up * los, atol=1e-8)
    slope = np.polyfit(years, truth.displacement.values.reshape(9, -1), 1)[0]
    np.testing.assert_allclose(truth.velocity.values.ravel(), slope, atol=1e-6)


def test_phase_of_bright_points_is_that_of_their_own_height() -> None:
    everywhere = 1e6 / (14.0 * 4.0)
    bright = {"point_density": everywhere, "signal_to_clutter": 1e9, "signal_to_clutter_spread": 0.0}
    slc, truth = simulate.slc_scene(
        **SMALL, **bright, temporary_fraction=0.0, variable_fraction=0.0, residual_height_std=15.0, seed=3
    )
    assert bool(truth.is_point.all())
    assert float(truth.residual_height.std()) == pytest.approx(np.hypot(15.0, 2.0), rel=0.05)
    assert np.abs(wrapped(interferograms(slc) - model(slc, truth))).max() < 1e-3
    # power is that of the clutter times the ratio
    np.testing.assert_allclose(
        np.abs(slc.slc[0]) ** 2 / truth.calibration[0] ** 2, 1e9 * truth.clutter_power, rtol=1e-3
    )


def test_two_pass_removal_leaves_motion_delay_and_residual_height() -> None:
    slc, truth = simulate.slc_scene(**SMALL, decorrelation=None, point_density=0.0, dem_error_std=5.0, seed=2)
    left = wrapped(interferograms(slc) - (p := towards(slc, ground_look(slc))) + p[0])
    per_metre = (
        height_to_phase(
            slc.perpendicular_baseline, wavelength=WAVELENGTH, slant_range=slc.slant_range, incidence=slc.incidence
        )
        .transpose("time", "y", "x")
        .values
    )
    apparent = (truth.displacement + truth.atmosphere).values.astype(np.float64)
    expected = -TURN * (apparent - apparent[0]) + (per_metre - per_metre[0]) * truth.residual_height.values
    # per metre of height the linear coefficient misses second order in height over range
    assert np.abs(wrapped(left - expected)).max() < 5e-3
    assert np.abs(truth.residual_height.values * np.ptp(per_metre, axis=0)).max() > 0.3


@pytest.mark.parametrize("removed", ["flat_earth", "flat_earth topography"])
def test_phase_removed_is_what_a_user_would_remove(removed: str) -> None:
    options = {**SMALL, "relief": 150.0, "seed": 6}
    slc, _ = simulate.slc_scene(**options)
    less, _ = simulate.slc_scene(**options, phase_removed=removed)
    assert less.attrs["phase_removed"] == removed
    surface = look_angle(slc.incidence, slc.slant_range)
    phase = towards(slc, surface if removed == "flat_earth" else ground_look(slc))
    if removed == "flat_earth":
        phase = phase + np.zeros_like(slc.slc.values, np.float64)
    np.testing.assert_allclose(slc.slc * np.exp(1j * phase), less.slc, atol=2e-4)
    assert np.ptp(phase) > 100


def test_flat_earth_and_topography_agree_with_exact_ranges() -> None:
    """Orbits and ground as points in a plane; ranges by Pythagoras. Two satellites 200 m apart, hills of 300 m."""
    slc, truth = simulate.slc_scene(
        shape=(30, 200), spacing=(14.0, 40.0), epochs=3, **(QUIET | {"baseline_std": 120.0, "relief": 300.0}), seed=8
    )
    look = np.deg2rad(look_angle(slc.incidence, slc.slant_range).values[0])
    distance, height = slc.slant_range.values[0], truth.height.values.astype(np.float64)
    orbit = np.sqrt(EARTH_RADIUS**2 + distance[0] ** 2 + 2 * EARTH_RADIUS * distance[0] * np.cos(
        np.deg2rad(slc.incidence.values[0, 0])))  # fmt: skip
    # Look angle of a place at that range and height: law of cosines in the triangle with the Earth's centre.
    cosine = (orbit**2 + distance**2 - (EARTH_RADIUS + height) ** 2) / (2 * orbit * distance)
    angle = np.arccos(cosine)
    assert np.all(angle >= look - 1e-9)
    down, across = distance * np.cos(angle), distance * np.sin(angle)
    centre = np.deg2rad(slc.attrs["centre_look"])
    perpendicular, parallel = slc.perpendicular_baseline.values, slc.parallel_baseline.values
    # GAMMA: Bperp = Bc cos - Bn sin, Bpar = Bc sin + Bn cos, with c across towards the ground and n down.
    c = perpendicular * np.cos(centre) + parallel * np.sin(centre)
    n = parallel * np.cos(centre) - perpendicular * np.sin(centre)
    exact = TURN * (np.hypot(across - c[:, None, None], down - n[:, None, None]) - distance)
    # The library takes rays as parallel, which leaves out what the part of the baseline across the ray adds, and
    # the look angle as linear in height, whose second order is -(h / R sin(incidence))^2 / 2 tan(look).
    delta = angle - centre
    slope = height / (distance * np.sin(np.deg2rad(slc.incidence.values[0])))
    second = TURN * perpendicular[:, None, None] * slope**2 / (2 * np.tan(look))
    square = (perpendicular[:, None, None] * np.cos(delta) - parallel[:, None, None] * np.sin(delta)) ** 2
    bend = TURN * square / (2 * distance)
    phase = interferograms(slc)
    for epoch in (1, 2):
        difference = exact[epoch] - exact[0]
        assert np.ptp(difference) > 100
        left = wrapped(phase[epoch] - difference)
        assert np.abs(wrapped(left - np.angle(np.exp(1j * left).mean()))).max() < 0.05
        left += (bend + second)[epoch] - (bend + second)[0]
        assert np.abs(wrapped(left)).max() < 3e-3


# scatterers -----------------------------------------------------------------------------------------------


def dispersion(slc: xr.Dataset) -> np.ndarray:
    amplitude = np.abs(slc.slc.values)
    return amplitude.std(axis=0) / amplitude.mean(axis=0)


FRESH = simulate.Decorrelation(long_term=0.0, initial=1.0, time=0.0)
STEADY = {"temporary_fraction": 0.0, "variable_fraction": 0.0, "signal_to_clutter_spread": 0.0}


def test_amplitude_dispersion_of_clutter_is_rayleighs() -> None:
    slc, truth = simulate.slc_scene(shape=(64, 64), epochs=100, **(QUIET | {"decorrelation": FRESH}))
    # sqrt(4 / pi - 1), as n -> oo; a sample of 100 is lower by less than 1 %
    assert dispersion(slc).mean() == pytest.approx(np.sqrt(4 / np.pi - 1), rel=0.01)
    power = (np.abs(slc.slc) ** 2).mean("time")
    ratio = power / truth.clutter_power
    assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    assert float(truth.clutter_power.max()) == pytest.approx(1.0)
    assert float(truth.clutter_power.min()) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("ratio", [20.0, 80.0])
def test_points_scatter_as_their_clutter_makes_them(ratio: float) -> None:
    points = {"point_density": 1e6 / 56, "signal_to_clutter": ratio}
    slc, truth = simulate.slc_scene(
        shape=(40, 40), epochs=80, **(QUIET | points | {"decorrelation": FRESH}), **STEADY, seed=1
    )
    expected = 1 / np.sqrt(2 * ratio)
    np.testing.assert_allclose(truth.phase_noise_std, expected, rtol=1e-6)
    # sigma_n / a, each with the next order in 1 / ratio
    assert dispersion(slc).mean() == pytest.approx(expected, rel=0.03)
    point = slc.slc.values.mean(axis=0)
    error = np.angle(slc.slc.values * point.conj())
    assert error.std() == pytest.approx(expected, rel=0.03)


def test_density_and_brightness_of_points_are_those_asked_for() -> None:
    _, truth = simulate.slc_scene(
        shape=(256, 256), epochs=3, point_density=(500.0, 4000.0), signal_to_clutter=9.0, chunks={"y": 64}, seed=5
    )
    there, town = truth.is_point.values, truth.town.values
    for share, density in ((town == 1, 4000.0), (town == 0, 500.0)):
        expected = share.sum() * density * 56e-6
        assert there[share].sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    decibel = 10 * np.log10(truth.signal_to_clutter.values[there])
    assert np.median(decibel) == pytest.approx(10 * np.log10(9.0), abs=0.3)
    assert decibel.std() == pytest.approx(5.0, abs=0.3)
    assert np.all(truth.signal_to_clutter.values[~there] == 0)
    assert np.isnan(truth.phase_noise_std.values[~there]).all()
    kinds = np.bincount(truth.point_kind.values.ravel(), minlength=4) / there.sum()
    np.testing.assert_allclose(kinds[1:], [0.84, 0.08, 0.08], atol=0.04)
    np.testing.assert_array_equal(truth.point_kind.values > 0, there)
    # where the caller says so, and nowhere else
    wanted = np.zeros((20, 30))
    wanted[4, 7] = wanted[11, 20] = 1e6 / 56
    _, chosen = simulate.slc_scene(shape=(20, 30), epochs=3, point_density=wanted)
    np.testing.assert_array_equal(chosen.is_point, wanted > 0)


def test_temporary_points_come_or_go_and_variable_ones_fluctuate() -> None:
    everywhere = {"point_density": 1e6 / 56, "signal_to_clutter": 1e6, "signal_to_clutter_spread": 0.0}
    options = {**QUIET, **everywhere, "shape": (30, 30), "epochs": 20, "seed": 2}
    slc, truth = simulate.slc_scene(**options, temporary_fraction=0.5, variable_fraction=0.5)
    kind, first, last = (truth[name].values for name in ("point_kind", "first_epoch", "last_epoch"))
    assert set(np.unique(kind)) == {2, 3}
    number = np.arange(20)[:, None, None]
    shown = (number >= first) & (number <= last)
    strong = np.abs(slc.slc.values) > 30
    np.testing.assert_array_equal(shown[:, kind == 2], strong[:, kind == 2])
    assert shown[:, kind == 3].all()
    assert not shown[:, kind == 2].all(axis=0).any()
    assert (first > 0).any()
    assert (last < 19).any()
    amplitude = np.log(np.abs(slc.slc.values[:, kind == 3]))
    assert amplitude.std(axis=0).mean() == pytest.approx(0.5, rel=0.05)
    # the mean power stays: E exp(2 (0.5 n - 0.25)) = 1
    power = (np.abs(slc.slc.values[:, kind == 3]) ** 2) / truth.clutter_power.values[kind == 3]
    assert power.mean() == pytest.approx(1e6, rel=0.05)


def test_coherence_decays_as_asked() -> None:
    dates = np.datetime64("2020-01-01", "D") + np.array([0, 6, 12, 30, 36, 60, 150])
    asked = simulate.Decorrelation(long_term=0.3, initial=0.9, time=25.0)
    slc, truth = simulate.slc_scene(
        shape=(192, 192), dates=dates.astype("M8[ns]"), **(QUIET | {"decorrelation": asked}), seed=3
    )
    z = slc.slc.values.reshape(7, -1) / np.sqrt(truth.clutter_power.values.ravel())
    count = z.shape[1]
    days = (dates - dates[0]).astype(float)
    for i in range(7):
        assert (np.abs(z[i]) ** 2).mean() == pytest.approx(1, abs=4 / np.sqrt(count))
        for j in range(i):
            expected = 0.3 + 0.6 * np.exp(-(days[i] - days[j]) / 25.0)
            estimate = (z[i] * z[j].conj()).mean()
            # the variance of a product of circular numbers is 1, in both parts together
            assert abs(estimate - expected) < 4 / np.sqrt(count)
    # neighbours are independent
    assert abs((z[0].reshape(192, 192)[:, 1:] * z[0].reshape(192, 192)[:, :-1].conj()).mean()) < 4 / np.sqrt(count)


def test_coherence_follows_the_maps_of_the_truth(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    slc, truth = simulate.slc_scene(epochs=6, **{k: v for k, v in QUIET.items() if k != "decorrelation"}, seed=1)
    product = (slc.slc[0] * slc.slc[1].conj() / truth.clutter_power).values
    expected = (truth.long_term_coherence + (0.95 - truth.long_term_coherence) * np.exp(
        -12 / truth.decorrelation_time)).values  # fmt: skip
    order = np.argsort(expected.ravel())
    for part in np.array_split(order, 6):
        estimate = product.ravel()[part].mean()
        assert abs(estimate - expected.ravel()[part].mean()) < 4 / np.sqrt(part.size)
    assert expected.min() < 0.1
    assert expected.max() > 0.7


def test_multilooking_raises_the_signal_in_the_fields(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    """What the selection of distributed scatterers lives on: five looks scatter less than one about the truth."""
    slc, truth = scene
    error = slc.slc[10] * slc.slc[11].conj() * np.exp(-1j * (m := model(slc, truth))[11] + 1j * m[10])
    coherent = ((truth.town < 0.5) & (truth.long_term_coherence > 0.35) & ~truth.is_point).values.reshape(200, 48, 5)
    cells = coherent.all(axis=2)
    assert cells.sum() > 300
    five = np.angle(error.values.reshape(200, 48, 5).sum(axis=2)[cells])
    one = np.angle(error.values.reshape(200, 48, 5)[cells])
    assert one.std() > 0.9
    assert five.std() < 0.6 * one.std()


# oversampling ---------------------------------------------------------------------------------------------


def test_oversampled_images_are_limited_in_bandwidth() -> None:
    options = QUIET | {"decorrelation": FRESH}
    slc, _ = simulate.slc_scene(shape=(192, 192), epochs=6, **options, town=1.0, oversampling=1.5, seed=2)
    window = np.hanning(192)
    spectrum = np.abs(np.fft.fft2(slc.slc.values * window[:, None] * window)) ** 2
    frequency = np.abs(np.fft.fftfreq(192))
    for axis, power in (("x", spectrum.mean(axis=(0, 1))), ("y", spectrum.mean(axis=(0, 2)))):
        inside, outside = power[frequency < 0.28].mean(), power[frequency > 0.40].mean()
        assert outside < 1e-3 * inside, axis
        assert power[frequency < 0.28].std() < 0.25 * inside, axis  # flat
    # power stays, at the scene's edges too
    power = np.abs(slc.slc.values) ** 2
    assert power.mean() == pytest.approx(1, rel=0.05)
    assert power[:, :16].mean() == pytest.approx(1, rel=0.12)
    assert power[:, :, -16:].mean() == pytest.approx(1, rel=0.12)
    # the correlation of neighbours is the sinc's
    near = (slc.slc.values[:, :, 1:] * slc.slc.values[:, :, :-1].conj()).mean()
    assert near.real == pytest.approx(np.sinc(1 / 1.5), abs=0.03)


def test_bright_points_have_side_lobes() -> None:
    wanted = np.zeros((50, 60))
    wanted[25, 30] = 1e6 / 56
    options = {**QUIET, **STEADY, "point_density": wanted, "signal_to_clutter": 1e8, "shape": (50, 60), "epochs": 3}
    slc, _ = simulate.slc_scene(**options, town=1.0, oversampling=1.3)
    image = np.abs(slc.slc.values[0])
    assert image[25, 30] == pytest.approx(1e4, rel=1e-3)
    # near the point the response is the sinc of a rectangular spectrum; the first side lobe is 13 dB down
    np.testing.assert_allclose(image[25, 24:37] / 1e4, np.abs(np.sinc(np.arange(-6, 7) / 1.3)), atol=0.02)
    np.testing.assert_allclose(image[23:28, 32] / 1e4, np.abs(
        np.sinc(2 / 1.3) * np.sinc(np.arange(-2, 3) / 1.3)), atol=0.02)  # fmt: skip
    assert image[25, 47:].max() < 10
    plain, _ = simulate.slc_scene(**options, town=1.0)
    assert np.abs(plain.slc.values[0, 25, 31]) < 10


# seeds and chunks -----------------------------------------------------------------------------------------


def test_seed_decides_everything() -> None:
    first = simulate.slc_scene(**SMALL, nan_fraction=0.1, seed=7)
    again = simulate.slc_scene(**SMALL, nan_fraction=0.1, seed=7)
    other = simulate.slc_scene(**SMALL, nan_fraction=0.1, seed=8)
    for a, b in zip(first, again, strict=True):
        xr.testing.assert_identical(a, b)
    for name in ("atmosphere", "residual_height", "is_point", "long_term_coherence", "calibration"):
        assert not np.array_equal(first[1][name], other[1][name]), name
    for name in ("slc", "height", "perpendicular_baseline", "parallel_baseline"):
        assert not np.array_equal(first[0][name], other[0][name]), name


def test_ingredients_do_not_influence_each_other() -> None:
    full, truth = simulate.slc_scene(**SMALL)
    plain, less = simulate.slc_scene(
        **SMALL, atmosphere=None, dem_error_std=0.0, residual_height_std=0.0, nan_fraction=0.3, calibration_std=0.0,
        point_density=(60.0, 3000.0), bowl=None,
    )  # fmt: skip
    np.testing.assert_array_equal(full.height, plain.height)
    np.testing.assert_array_equal(full.perpendicular_baseline, plain.perpendicular_baseline)
    np.testing.assert_array_equal(truth.long_term_coherence, less.long_term_coherence)
    # a point stays what it is when others come
    there = truth.is_point.values
    assert less.is_point.values[there].all()
    assert less.is_point.sum() > there.sum()
    np.testing.assert_array_equal(truth.signal_to_clutter.values[there], less.signal_to_clutter.values[there])


@pytest.mark.parametrize("oversampling", [1.0, 1.25])
def test_a_lazy_scene_is_the_scene_in_memory(oversampling: float) -> None:
    dask_array = pytest.importorskip("dask.array")
    options = {"shape": (90, 150), "epochs": 5, "nan_fraction": 0.05, "oversampling": oversampling, "seed": 5}
    eager = simulate.slc_scene(**options)
    lazy = simulate.slc_scene(**options, chunks={"y": 37, "x": 101})
    assert lazy[0].slc.chunks == ((5,), (37, 37, 16), (101, 49))
    for there, here in zip(lazy, eager, strict=True):
        assert all(isinstance(there[name].data, dask_array.Array) for name in there.data_vars if name != "calibration")
        xr.testing.assert_identical(there.compute(), here)


@settings(max_examples=8, deadline=None)
@given(top=st.integers(0, 120), left=st.integers(0, 120), rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_any_window_of_a_lazy_scene_is_that_of_the_whole(top: int, left: int, rows: int, columns: int) -> None:
    pytest.importorskip("dask.array")
    options: dict[str, Any] = {"shape": (150, 150), "epochs": 3, "seed": 9}
    window = {"y": slice(top, top + rows), "x": slice(left, left + columns)}
    whole = WINDOWED.setdefault("whole", simulate.slc_scene(**options)[0].slc)
    lazy = simulate.slc_scene(**options, chunks={"y": 41, "x": 29})[0].slc
    np.testing.assert_array_equal(lazy.isel(window), whole.isel(window))


WINDOWED: dict[str, xr.DataArray] = {}


def test_one_chunk_of_a_huge_scene_needs_little() -> None:
    pytest.importorskip("dask.array")
    slc, truth = simulate.slc_scene(shape=(5000, 5000), epochs=85, chunks={"y": 192, "x": 192})
    assert slc.slc.nbytes == 17e9
    window = {"y": slice(1920, 2112), "x": slice(2688, 2880)}  # one chunk
    tracemalloc.start()
    try:
        chunk = slc.slc.isel(window).values
        truth.residual_height.isel(window).load()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(chunk).all()
    assert chunk.nbytes < peak < 100e6  # the chunk itself is 25 MB


# options --------------------------------------------------------------------------------------------------


def test_calibration_is_a_factor_of_the_amplitude() -> None:
    right, _ = simulate.slc_scene(**SMALL, calibration_std=0.0)
    wrong, truth = simulate.slc_scene(**SMALL, calibration_std=0.3)
    np.testing.assert_allclose(wrong.slc, right.slc * truth.calibration, rtol=1e-5)
    _, many = simulate.slc_scene(shape=(2, 2), epochs=400, calibration_std=0.3)
    assert float(np.log(many.calibration).std()) == pytest.approx(0.3, rel=0.1)


def test_missing_samples_and_epochs() -> None:
    slc, _ = simulate.slc_scene(**SMALL, nan_fraction=0.2, empty_epochs=(2, 5))
    full, _ = simulate.slc_scene(**SMALL)
    missing = np.isnan(slc.slc.values)
    assert missing[[2, 5]].all()
    rest = np.delete(missing, [2, 5], axis=0)
    assert rest.mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(slc.slc.values[~missing], full.slc.values[~missing])


def test_motion_as_an_array_and_as_a_function() -> None:
    def sinking(years: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -0.01 * years - 0.02 + 0 * x

    _, by_function = simulate.slc_scene(**SMALL, bowl=None, seasonal_amplitude=0.0, motion=sinking)
    years = xr.DataArray(np.arange(8) * 12 / 365.25, dims="time")
    field = (-0.01 * years + xr.zeros_like(by_function.velocity).drop_vars(by_function.velocity.coords)).transpose(
        "x", "time", "y"
    )
    _, by_array = simulate.slc_scene(**SMALL, bowl=None, seasonal_amplitude=0.0, motion=field)
    np.testing.assert_allclose(by_function.displacement_up, by_array.displacement_up, atol=1e-8)
    np.testing.assert_allclose(by_function.displacement_up[:, 3, 4], -0.01 * years, atol=1e-8)


def test_atmosphere_has_the_variance_and_the_layers_asked_for() -> None:
    air = simulate.Atmosphere(std=0.004, slope=-8 / 3, height_gradient_std=0.05)
    slc, truth = simulate.slc_scene(
        shape=(96, 192), spacing=30.0, epochs=60, atmosphere=air, relief=0.0, point_density=0.0
    )
    assert float(np.sqrt((truth.atmosphere**2).mean())) == pytest.approx(0.004, rel=0.1)
    layered = simulate.Atmosphere(std=0.0, height_gradient_std=0.05)
    slc, truth = simulate.slc_scene(shape=(64, 64), epochs=60, atmosphere=layered, relief=500.0)
    height = slc.height.values - 20.0
    gradient = truth.atmosphere.values.reshape(60, -1) @ height.ravel() / (height**2).sum()
    np.testing.assert_allclose(truth.atmosphere, gradient[:, None, None] * height, atol=1e-6)
    assert gradient.std() == pytest.approx(0.05 / 1000, rel=0.3)


def test_turbulence_between_nodes_is_that_of_the_waves() -> None:
    from subsidence.simulate._random import Stream, generator
    from subsidence.simulate._turbulence import Lattice

    waves = simulate.Atmosphere(std=0.01, slope=-8 / 3).waves(seed=1, epochs=4, extent=3000.0, spacing=100.0)
    assert generator(1, Stream.ATMOSPHERE).random() != 0
    lattice = Lattice(waves, (14.0, 4.0), rows=200, side=64)
    exact = waves.evaluate((64 + np.arange(64)) * 4.0, (199 - 128 - np.arange(64)) * 14.0)
    assert np.abs(lattice.tile(2, 1) - exact).max() < 0.02 * exact.std()


def test_the_smallest_scene() -> None:
    slc, truth = simulate.slc_scene(shape=(1, 1), epochs=2)
    assert slc.slc.shape == (2, 1, 1)
    schema.SLC.check(slc)
    schema.SERIES.check(truth)


def test_results_pickle_and_levelling_takes_the_truth(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    slc, truth = scene
    xr.testing.assert_identical(pickle.loads(pickle.dumps(slc)), slc)
    survey = simulate.levelling(truth, benchmarks=4)
    assert survey.sizes["benchmark"] == 4
    assert float(survey.true_displacement.min()) < -0.03


BAD: list[tuple[dict[str, Any], str]] = [
    ({"shape": 5}, "shape must be"),
    ({"shape": (0, 5)}, "rows of shape"),
    ({"spacing": 0.0}, "spacing must be positive"),
    ({"spacing": (14.0, -4.0)}, "spacing along x must be positive"),
    ({"spacing": (1.0, 2.0, 3.0)}, "spacing must be a number or"),
    ({"dates": ["2020-01-01"]}, "dates must be at least two"),
    ({"epochs": 1}, "epochs must be a whole number"),
    ({"interval": -1.0}, "interval must be positive"),
    ({"start": "soon"}, "start must be a date"),
    ({"reference": 8}, "reference must be below the number of epochs, 8"),
    ({"reference": -1}, "reference must be a whole number"),
    ({"wavelength": 55.5}, "wavelength must lie"),
    ({"incidence": 95.0}, "incidence must lie"),
    ({"slant_range": 10.0}, "slant_range must lie"),
    ({"heading": np.nan}, "heading must be a finite"),
    ({"bowl": 0.1}, "bowl must be a simulate.Bowl"),
    ({"bowl": simulate.Bowl(centre=(1e6, 0.0))}, "centre of bowl must lie in the scene"),
    ({"velocity": np.inf}, "velocity must be a finite"),
    ({"acceleration": np.zeros((2, 2))}, "acceleration must be a number or an array"),
    ({"seasonal_amplitude": "0.1"}, "seasonal_amplitude must be a finite"),
    ({"seasonal_phase": np.nan}, "seasonal_phase must be"),
    ({"motion": 3.0}, "motion must be a DataArray"),
    ({"motion": xr.DataArray(np.zeros((8, 40)), dims=("time", "y"))}, "motion must have the dims"),
    ({"motion": xr.DataArray(np.zeros((8, 40, 40)), dims=("time", "y", "x"))}, "motion must be finite and of"),
    ({"motion": lambda years, x, y: np.zeros(3)}, "motion must return"),
    ({"motion": lambda years, x, y: years * np.nan}, "motion must return"),
    ({"atmosphere": 0.01}, "atmosphere must be a simulate.Atmosphere"),
    ({"atmosphere": simulate.Atmosphere(outer_scale=150.0)}, "outer_scale of atmosphere must be above 200 m"),
    ({"relief": np.nan}, "relief must be"),
    ({"dem_error_std": -1.0}, "dem_error_std must not be negative"),
    ({"dem_error_scale": 0.0}, "dem_error_scale must be positive"),
    ({"residual_height_std": -1.0}, "residual_height_std must not be negative"),
    ({"baseline_std": -1.0}, "baseline_std must not be negative"),
    ({"town": 1.5}, "town must lie between 0 and 1"),
    ({"town": np.full((40, 50), 2.0)}, "town must lie between 0 and 1"),
    ({"town": np.zeros((4, 5))}, "town must be a number or an array"),
    ({"point_density": -1.0}, "point_density must be a number"),
    ({"point_density": 20_000.0}, "point_density must be at most one point per pixel, 17857.1"),
    ({"point_density": np.zeros((4, 5))}, "point_density must be a number or an array"),
    ({"signal_to_clutter": 0.0}, "signal_to_clutter must be positive"),
    ({"signal_to_clutter_spread": -1.0}, "signal_to_clutter_spread must not be negative"),
    ({"temporary_fraction": 1.5}, "temporary_fraction must lie"),
    ({"variable_fraction": -0.5}, "variable_fraction must lie"),
    ({"temporary_fraction": 0.6, "variable_fraction": 0.6}, "temporary_fraction and variable_fraction must add up"),
    ({"decorrelation": 0.5}, "decorrelation must be a simulate.Decorrelation"),
    ({"calibration_std": -0.1}, "calibration_std must not be negative"),
    ({"oversampling": 0.5}, "oversampling must lie between 1 and 4"),
    ({"oversampling": None}, "oversampling must be a finite"),
    ({"phase_removed": "topography"}, "phase_removed must be one of"),
    ({"nan_fraction": 2.0}, "nan_fraction must lie"),
    ({"empty_epochs": (8,)}, "empty_epochs must be below the number of epochs"),
    ({"empty_epochs": 3}, "empty_epochs must be a sequence"),
    ({"seed": -1}, "seed must be a whole number"),
    ({"chunks": {"time": 3}}, "chunks must be a mapping"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        simulate.slc_scene(**(SMALL | options))
