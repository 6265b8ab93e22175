"""Simulated scenes against theory: distributions, spectra and closed forms that do not come from the simulator."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, special, stats

from subsidence import schema, simulate
from subsidence.errors import InputError, SchemaError

QUIET: dict[str, Any] = {
    "bowl": None,
    "seasonal_amplitude": 0.0,
    "atmosphere": None,
    "residual_height_std": 0.0,
    "decorrelation": None,
}


def constant(coherence: float) -> simulate.Decorrelation:
    return simulate.Decorrelation(long_term=coherence, time=0.0)


def multilook_cdf(coherence: float, looks: float) -> Any:
    """Lee et al. (1994), eq. 11: the density in closed form, integrated numerically."""
    phase = np.linspace(-np.pi, np.pi, 20001)
    beta = coherence * np.cos(phase)
    gain = special.gamma(looks + 0.5) / (2 * np.sqrt(np.pi) * special.gamma(looks))
    density = (1 - coherence**2) ** looks * (
        gain * beta / (1 - beta**2) ** (looks + 0.5) + special.hyp2f1(looks, 1, 0.5, beta**2) / (2 * np.pi)
    )
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(phase))])
    assert total[-1] == pytest.approx(1, abs=1e-6)
    return lambda x: np.interp(x, phase, total)


# the whole ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene() -> tuple[xr.Dataset, xr.Dataset]:
    return simulate.interferogram_scene()


def test_default_scene_is_a_valid_stack_and_series(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    stack, truth = scene
    schema.INTERFEROGRAMS.check(stack, needs=("unwrapped_phase", "coherence", "perpendicular_baseline", "heading"))
    schema.SERIES.check(truth, needs=("displacement", "velocity", "atmosphere", "residual_height"))
    assert dict(stack.sizes) == {"pair": 84, "y": 100, "x": 120}  # 3 n - 6 pairs of n = 30 epochs
    assert stack.unwrapped_phase.dtype == stack.coherence.dtype == np.float32
    assert bool((stack.reference < stack.secondary).all())
    assert np.all(np.diff(stack.x) == 50)
    assert np.all(np.diff(stack.y) == -50)
    for name in truth.data_vars:
        assert truth[name].attrs["long_name"], name
        assert truth[name].dtype == bool or truth[name].attrs["units"], name
    np.testing.assert_array_equal(truth.displacement[0], 0)
    # a bowl of a quarter of a metre among stable hills, a city more coherent than they are
    centre = truth.isel(y=truth.attrs["bowl_row"], x=truth.attrs["bowl_col"])
    assert float(centre.bowl[-1]) == pytest.approx(-0.25, abs=0.01)
    assert 0.02 < float(truth.stable.mean()) < 0.5
    assert float(np.ptp(stack.height.values)) > 300
    hills = stack.height > 2500
    assert float(stack.coherence.where(hills).mean()) < float(stack.coherence.where(~hills).mean()) - 0.1
    assert float(stack.coherence.min()) > 0.2


def test_the_ingredients_add_up_to_the_phase(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    stack, truth = scene
    los_up = np.cos(np.deg2rad(39.0))
    motion = (truth.bowl + truth.seasonal) * los_up
    np.testing.assert_allclose(truth.displacement, motion, atol=1e-7)
    apparent = truth.displacement + truth.atmosphere + truth.topographic_delay
    later = apparent.sel(time=stack.secondary).values
    earlier = apparent.sel(time=stack.reference).values
    height = (
        stack.perpendicular_baseline.values[:, None, None]
        * truth.residual_height.values
        / (880e3 * np.sin(np.deg2rad(39.0)))
    )
    phase = -4 * np.pi / 0.0555 * (later - earlier + height)
    np.testing.assert_allclose(truth.noise_free_phase, phase, atol=2e-4)
    np.testing.assert_allclose(stack.unwrapped_phase, truth.noise_free_phase + truth.phase_noise, atol=1e-5)
    assert float(abs(truth.phase_noise).max()) <= np.float32(np.pi)
    baseline = truth.perpendicular_baseline
    np.testing.assert_allclose(
        stack.perpendicular_baseline,
        baseline.sel(time=stack.secondary).values - baseline.sel(time=stack.reference).values,
    )
    assert float(baseline[0]) == 0


def test_noise_free_closure_is_zero(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    stack, truth = scene
    dates = truth.time.values
    number = {(r, s): k for k, (r, s) in enumerate(zip(stack.reference.values, stack.secondary.values, strict=True))}
    phase = truth.noise_free_phase.values
    noise = truth.phase_noise.values
    for i in range(28):
        a, b, c = (number[dates[i + p], dates[i + q]] for p, q in ((0, 1), (1, 2), (0, 2)))
        assert np.abs(phase[a] + phase[b] - phase[c]).max() < 5e-5
        assert np.abs(noise[a] + noise[b] - noise[c]).max() > 0.1


def test_results_survive_netcdf(tmp_path: Any) -> None:
    stack, truth = simulate.interferogram_scene(shape=(5, 6), epochs=4, bowl=simulate.Bowl(function=np.tanh))
    for name, dataset in (("stack", stack), ("truth", truth)):
        dataset.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") as back:
            assert back.attrs == dataset.attrs
            assert set(back.variables) == set(dataset.variables)


# seeds and chunks -----------------------------------------------------------------------------------------


def test_seed_decides_everything() -> None:
    first = simulate.interferogram_scene(shape=(10, 11), epochs=5, nan_fraction=0.1, seed=7)
    again = simulate.interferogram_scene(shape=(10, 11), epochs=5, nan_fraction=0.1, seed=7)
    other = simulate.interferogram_scene(shape=(10, 11), epochs=5, nan_fraction=0.1, seed=8)
    for a, b in zip(first, again, strict=True):
        xr.testing.assert_identical(a, b)
    for name in ("atmosphere", "residual_height", "phase_noise", "topographic_delay", "coherence"):
        assert not np.array_equal(first[1][name], other[1][name]), name
    assert not np.array_equal(first[0].unwrapped_phase.isnull(), other[0].unwrapped_phase.isnull())


def test_ingredients_do_not_influence_each_other() -> None:
    _, truth = simulate.interferogram_scene(shape=(70, 11), epochs=5)
    _, calm = simulate.interferogram_scene(
        shape=(70, 11), epochs=5, atmosphere=None, residual_height_std=0.0, nan_fraction=0.3, baseline_std=0.0
    )
    xr.testing.assert_identical(truth.phase_noise.variable, calm.phase_noise.variable)
    xr.testing.assert_identical(truth.displacement.variable, calm.displacement.variable)
    _, rough = simulate.interferogram_scene(shape=(70, 11), epochs=5, residual_height_std=6.0, decorrelation=None)
    np.testing.assert_allclose(rough.residual_height, 2 * truth.residual_height, rtol=1e-6)
    xr.testing.assert_identical(truth.atmosphere.variable, rough.atmosphere.variable)
    np.testing.assert_array_equal(rough.phase_noise, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"residual_height_scale": 200.0, "estimated_coherence": True},
        {"noise": "epochs", "estimated_coherence": True, "wrapped": True},
        {"noise": None, "nan_fraction": 0.2, "unwrapping_error_fraction": 0.5, "velocity": np.ones((70, 150))},
    ],
)
def test_chunked_equals_in_memory(options: dict[str, Any]) -> None:
    arguments = {"shape": (70, 150), "epochs": 5, "looks": 3, "seed": 3, **options}
    whole = simulate.interferogram_scene(**arguments)
    lazy = simulate.interferogram_scene(**arguments, chunks={"x": 50})
    assert lazy[0].chunksizes == {"pair": (9,), "y": (70,), "x": (50, 50, 50)}
    for a, b in zip(whole, lazy, strict=True):
        assert all(b[name].chunks is not None for name in b.data_vars)
        for name in b.variables:
            assert a[name].dtype == b[name].dtype, name
        xr.testing.assert_identical(a, b.compute())


@settings(max_examples=10, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    cut=st.integers(1, 80),
    seed=st.integers(0, 2**63),
)
def test_any_cut_of_any_scene(shape: tuple[int, int], cut: int, seed: int) -> None:
    arguments: dict[str, Any] = {"shape": shape, "epochs": 3, "seed": seed, "nan_fraction": 0.5}
    stack, truth = simulate.interferogram_scene(**arguments)
    lazy, _ = simulate.interferogram_scene(**arguments, chunks={"y": cut, "x": -1})
    np.testing.assert_array_equal(stack.unwrapped_phase, lazy.unwrapped_phase)
    schema.INTERFEROGRAMS.check(stack)
    assert np.isfinite(truth.displacement.values).all()
    assert np.isfinite(truth.noise_free_phase.values).all()


def test_noise_does_not_repeat_itself() -> None:
    _, truth = simulate.interferogram_scene(shape=(128, 128), epochs=3, pairs=[(0, 1), (1, 2)], seed=5)
    for name in ("phase_noise", "residual_height"):
        quarters = truth[name].values.reshape(-1, 2, 64, 2, 64).transpose(0, 1, 3, 2, 4).reshape(-1, 64 * 64)
        correlation = np.corrcoef(quarters)
        assert np.abs(correlation[np.triu_indices(len(quarters), 1)]).max() < 0.08, name


def test_lazy_scenes_of_one_seed_are_the_same_and_travel() -> None:
    arguments: dict[str, Any] = {"shape": (8, 9), "epochs": 3, "chunks": {"y": 4}}
    first, _ = simulate.interferogram_scene(**arguments)
    again, _ = simulate.interferogram_scene(**arguments)
    assert first.unwrapped_phase.data.name == again.unwrapped_phase.data.name
    assert first.unwrapped_phase.data.name != first.coherence.data.name
    xr.testing.assert_identical(pickle.loads(pickle.dumps(first)).compute(), again.compute())


# motion ---------------------------------------------------------------------------------------------------


def test_subsidence_is_negative_and_its_phase_positive() -> None:
    stack, truth = simulate.interferogram_scene(shape=(11, 13), epochs=10, **{**QUIET, "bowl": simulate.Bowl()})
    centre: dict[str, Any] = {"y": 5, "x": 6}
    t = np.arange(10) * 12 / 365.25
    weibull = 0.25 * (1 - np.exp(-5.0 * t**2))
    np.testing.assert_allclose(truth.displacement_up.isel(centre), -weibull, atol=1e-7)
    towards = -weibull * np.cos(np.deg2rad(39.0))
    np.testing.assert_allclose(truth.displacement.isel(centre), towards, atol=1e-7)
    first = stack.isel(pair=0, **centre)
    assert float(first.unwrapped_phase) == pytest.approx(-4 * np.pi / 0.0555 * towards[1], rel=1e-5)
    assert (stack.unwrapped_phase.isel(centre) > 0).all()
    assert truth.attrs["w_m"] == 0.25
    assert {name: truth.attrs[name] for name in ("eta", "lam", "t0")} == {"eta": 5.0, "lam": 2.0, "t0": 0.0}
    assert (truth.attrs["bowl_row"], truth.attrs["bowl_col"]) == (5, 6)


def test_bowl_has_its_place_and_radius() -> None:
    bowl = simulate.Bowl(settlement=0.1, centre=(100.0, 300.0), radius=200.0, function="linear")
    _, truth = simulate.interferogram_scene(
        shape=(9, 11), start="2018-01-01", interval=365.25, epochs=3, **{**QUIET, "bowl": bowl}
    )
    last = truth.displacement_up.isel(time=-1)
    assert float(last.sel(x=100, y=300)) == pytest.approx(-0.2)
    assert float(last.sel(x=300, y=300)) == pytest.approx(-0.2 / np.e)
    assert float(last.sel(x=100, y=100)) == pytest.approx(-0.2 / np.e)
    assert float(truth.isel(y=truth.attrs["bowl_row"], x=truth.attrs["bowl_col"]).x) == 100
    np.testing.assert_allclose(truth.velocity.sel(x=100, y=300), -0.1 * np.cos(np.deg2rad(39)), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "parameters", "expected"),
    [
        ("weibull", {"eta": 0.5, "lam": 2.5, "t0": 0.3}, lambda t: 1 - np.exp(-0.5 * np.clip(t - 0.3, 0, None) ** 2.5)),
        ("weibull", {"t0": -1.0}, lambda t: np.exp(-5.0) - np.exp(-5.0 * (t + 1) ** 2)),
        ("logistic", {"a": 20.0, "c": 4.0}, lambda t: 1 / (1 + 20 * np.exp(-4 * t)) - 1 / 21),
        ("linear", {"rate": 0.4}, lambda t: 0.4 * t),
        (lambda t: np.sqrt(t + 1), {}, lambda t: np.sqrt(t + 1) - 1),
    ],
)
def test_time_functions(function: Any, parameters: dict[str, float], expected: Any) -> None:
    t = np.linspace(0, 3, 50)
    bowl = simulate.Bowl(function=function, parameters=parameters)
    np.testing.assert_allclose(bowl.fraction(t), expected(t), atol=1e-12)


def test_seasonal_motion_is_largest_where_its_phase_says() -> None:
    dates = np.datetime64("2019-03-02") + np.arange(0, 800, 5)
    options = {**QUIET, "seasonal_amplitude": np.full((2, 3), 0.01)}
    _, truth = simulate.interferogram_scene(shape=(2, 3), dates=dates, seasonal_phase=np.pi / 2, **options)
    wave = truth.seasonal.isel(y=0, x=0)
    assert float(np.ptp(wave.values)) == pytest.approx(0.02, rel=1e-3)
    top = wave.time.values[wave.values[: 365 // 5].argmax()]
    peak = np.datetime64("2019-01-01") + np.timedelta64(91, "D")  # a quarter of a year after 1 January
    assert abs(top - peak) <= np.timedelta64(3, "D")
    np.testing.assert_array_equal(truth.displacement_up, wave.broadcast_like(truth.displacement_up))


def test_velocity_of_the_floor_or_of_every_pixel() -> None:
    field = np.arange(12.0).reshape(3, 4) / 100
    field.flags.writeable = False
    _, truth = simulate.interferogram_scene(shape=(3, 4), epochs=20, velocity=field, **QUIET)
    np.testing.assert_allclose(truth.linear_velocity, field, rtol=1e-6)
    np.testing.assert_allclose(truth.velocity, field * np.cos(np.deg2rad(39)), rtol=1e-5, atol=1e-8)
    turned = xr.DataArray(field, dims=("y", "x")).transpose("x", "y")
    _, same = simulate.interferogram_scene(shape=(3, 4), epochs=20, velocity=turned, **QUIET)
    xr.testing.assert_identical(truth.linear_velocity, same.linear_velocity)
    _, floor = simulate.interferogram_scene(shape=(100, 100), epochs=2, velocity=-0.02, **QUIET)
    assert float(floor.linear_velocity[50, 50]) == pytest.approx(-0.02)
    assert float(floor.linear_velocity.max()) == 0
    assert bool((floor.height.where(floor.linear_velocity == 0) > 2350).any())


def test_dates_and_pairs() -> None:
    stack, truth = simulate.interferogram_scene(
        shape=(2, 2), dates=["2020-01-01", "2020-01-13", "2020-03-01"], pairs=[(1, 2), (0, 2)]
    )
    assert truth.time.values.astype("M8[D]").astype(str).tolist() == ["2020-01-01", "2020-01-13", "2020-03-01"]
    np.testing.assert_array_equal(stack.reference, truth.time[[1, 0]])
    np.testing.assert_array_equal(stack.secondary, truth.time[[2, 2]])
    weekly, _ = simulate.interferogram_scene(shape=(2, 2), epochs=3, interval=timedelta(weeks=1), pairs=99)
    assert ((weekly.secondary - weekly.reference) / np.timedelta64(1, "D")).values.tolist() == [7, 14, 7]


# atmosphere and height ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [-8 / 3, -11 / 3])
def test_atmosphere_has_its_power_law_and_std(slope: float) -> None:
    n, spacing, outer = 192, 50.0, 3000.0
    air = simulate.Atmosphere(std=0.01, slope=slope, outer_scale=outer)
    _, truth = simulate.interferogram_scene(
        shape=(n, n), spacing=spacing, epochs=16, pairs=1, **{**QUIET, "atmosphere": air}
    )
    fields = truth.atmosphere.values.astype(float)
    assert np.sqrt((fields**2).mean()) == pytest.approx(0.01, rel=0.06)
    # independent epochs
    correlation = np.corrcoef(fields.reshape(16, -1))
    assert np.abs(correlation[np.triu_indices(16, 1)]).mean() < 0.15
    # a window that lets no power leak from the long waves to the short ones
    window = np.blackman(n)[:, None] * np.blackman(n)
    power = (np.abs(np.fft.fft2(fields * window)) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(n, spacing), np.fft.fftfreq(n, spacing)))
    edges = np.geomspace(1 / 2000, 1 / 150, 13)
    ring = np.digitize(frequency, edges)
    radial = [power[ring == k].mean() for k in range(1, edges.size)]
    fitted = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(radial), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.15)
    # isotropic: the power along x is that along y
    along_x = power[(ring >= 2) & (ring <= 10) & (np.abs(np.fft.fftfreq(n))[:, None] < np.abs(np.fft.fftfreq(n)))]
    along_y = power[(ring >= 2) & (ring <= 10) & (np.abs(np.fft.fftfreq(n))[:, None] > np.abs(np.fft.fftfreq(n)))]
    assert along_x.sum() / along_y.sum() == pytest.approx(1, abs=0.35)


def test_topographic_delay_follows_the_height() -> None:
    air = simulate.Atmosphere(std=0.0, height_gradient_std=0.02)
    _, truth = simulate.interferogram_scene(shape=(30, 30), epochs=400, pairs=1, **{**QUIET, "atmosphere": air})
    height = truth.height.values.ravel().astype(float)
    delay = truth.topographic_delay.values.reshape(400, -1)
    slopes = np.polyfit(height - height.mean(), delay.T, 1)[0]
    predicted = slopes[:, None] * (height - 2240.0)
    np.testing.assert_allclose(delay, predicted, atol=1e-6)
    assert slopes.std() * 1000 == pytest.approx(0.02, rel=0.12)
    np.testing.assert_array_equal(truth.atmosphere, 0)


@pytest.mark.parametrize("scale", [0.0, 150.0])
def test_residual_height_has_its_std_and_correlation(scale: float) -> None:
    options = {**QUIET, "residual_height_std": 4.0, "residual_height_scale": scale}
    stack, truth = simulate.interferogram_scene(shape=(250, 250), spacing=50.0, epochs=2, **options)
    height = truth.residual_height.values.astype(float)
    assert height.std() == pytest.approx(4.0, rel=0.08)
    for lag in (1, 3, 6):
        expected = np.exp(-((lag * 50.0) ** 2) / (2 * scale**2)) if scale else 0.0
        found = np.mean(height[:, lag:] * height[:, :-lag]) / np.mean(height**2)
        assert found == pytest.approx(expected, abs=0.06)
    factor = -4 * np.pi / 0.0555 * float(stack.perpendicular_baseline[0]) / (880e3 * np.sin(np.deg2rad(39)))
    np.testing.assert_allclose(stack.unwrapped_phase[0], factor * height, rtol=1e-4, atol=1e-5)


# coherence and noise --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "coherence", "looks"),
    [
        *((noise, *case) for noise in ("pairs", "epochs") for case in ((0.0, 4), (0.3, 1), (0.6, 5), (0.9, 20))),
        ("pairs", 0.35, 2.5),
    ],
)
def test_phase_noise_follows_the_multilook_distribution(noise: Any, coherence: float, looks: float) -> None:
    options = {**QUIET, "decorrelation": constant(coherence)}
    _, truth = simulate.interferogram_scene(
        shape=(100, 120), epochs=3, pairs=[(0, 2)], looks=looks, noise=noise, seed=11, **options
    )
    result = stats.kstest(truth.phase_noise.values.ravel(), multilook_cdf(coherence, looks))
    assert result.pvalue > 0.01
    if coherence:  # the test must be able to tell a neighbour from the right one
        assert stats.kstest(truth.phase_noise.values.ravel(), multilook_cdf(0.85 * coherence, looks)).pvalue < 0.01


@pytest.mark.parametrize("noise", ["pairs", "epochs"])
def test_temporal_decorrelation(noise: Any) -> None:
    model = simulate.Decorrelation(long_term=0.2, initial=0.9, time=30.0)
    stack, truth = simulate.interferogram_scene(
        shape=(60, 64),
        epochs=8,
        pairs=7,
        looks=200,
        noise=noise,
        estimated_coherence=True,
        **{**QUIET, "decorrelation": model},
    )
    days = ((stack.secondary - stack.reference) / np.timedelta64(1, "D")).values
    expected = 0.2 + 0.7 * np.exp(-days / 30.0)
    np.testing.assert_allclose(truth.coherence.mean(("y", "x")), expected, rtol=1e-5)
    # at 200 looks the sample coherence is unbiased to 1/(2 looks)
    np.testing.assert_allclose(stack.coherence.mean(("y", "x")), expected, atol=0.006)
    assert float(stack.coherence.std("pair").max()) > 0


@pytest.mark.parametrize("noise", ["pairs", "epochs"])
def test_sample_coherence_is_biased_as_theory_says(noise: Any) -> None:
    # Touzi et al. (1999), doi:10.1109/36.739146: no coherence at all shows 0.406 at five looks
    stack, _ = simulate.interferogram_scene(
        shape=(100, 120),
        epochs=2,
        looks=5,
        noise=noise,
        estimated_coherence=True,
        **{**QUIET, "decorrelation": constant(0.0)},
    )
    expected = special.gamma(5) * special.gamma(1.5) / special.gamma(5.5)
    assert float(stack.coherence.mean()) == pytest.approx(expected, abs=0.006)
    single, _ = simulate.interferogram_scene(
        shape=(5, 5),
        epochs=2,
        looks=1,
        noise=noise,
        estimated_coherence=True,
        **{**QUIET, "decorrelation": constant(0.5)},
    )
    np.testing.assert_allclose(single.coherence, 1, atol=1e-6)


def test_pairs_with_a_common_image_are_correlated_when_drawn_by_epochs() -> None:
    gamma = 0.6
    options: dict[str, Any] = {
        **QUIET,
        "shape": (100, 120),
        "epochs": 3,
        "pairs": [(0, 1), (0, 2), (1, 2)],
        "looks": 60,
    }
    options["decorrelation"] = constant(gamma)
    found = {}
    noise: Any
    for noise in ("pairs", "epochs"):
        _, truth = simulate.interferogram_scene(noise=noise, **options)
        found[noise] = np.corrcoef(truth.phase_noise.values.reshape(3, -1))
    # many looks: covariance (gamma - gamma^2) / (2 L gamma^2), variance (1 - gamma^2) / (2 L gamma^2)
    assert found["epochs"][0, 1] == pytest.approx(gamma / (1 + gamma), abs=0.03)
    assert found["epochs"][0, 2] == pytest.approx(-gamma / (1 + gamma), abs=0.03)
    assert found["pairs"][0, 1] == pytest.approx(0, abs=0.03)


def test_coherence_given_by_pixel_and_by_range() -> None:
    field = np.linspace(0.1, 0.8, 30).reshape(5, 6)
    model = simulate.Decorrelation(long_term=xr.DataArray(field, dims=("y", "x")).T, initial=0.8, time=np.inf)
    stack, truth = simulate.interferogram_scene(shape=(5, 6), epochs=3, decorrelation=model)
    np.testing.assert_allclose(truth.long_term_coherence, field, rtol=1e-6)
    np.testing.assert_allclose(stack.coherence, 0.8, rtol=1e-6)  # what never fades stays at its first value
    model = simulate.Decorrelation(long_term=(0.3, 0.7), initial=0.9, time=(10.0, 50.0))
    _, truth = simulate.interferogram_scene(shape=(100, 100), epochs=2, decorrelation=model)
    assert 0.3 <= float(truth.long_term_coherence.min()) < 0.4
    assert 0.6 < float(truth.long_term_coherence.max()) <= 0.7
    np.testing.assert_allclose((truth.long_term_coherence - 0.3) / 0.4, (truth.decorrelation_time - 10) / 40, atol=1e-4)


# faults ---------------------------------------------------------------------------------------------------


def test_unwrapping_errors_are_whole_cycles_where_truth_says() -> None:
    stack, truth = simulate.interferogram_scene(shape=(90, 80), unwrapping_error_fraction=0.25, seed=2)
    clean, _ = simulate.interferogram_scene(shape=(90, 80), seed=2)
    cycles = truth.unwrapping_cycles.values
    np.testing.assert_allclose(stack.unwrapped_phase - clean.unwrapped_phase, 2 * np.pi * cycles, atol=1e-4)
    wrong = np.abs(cycles).max((1, 2)) > 0
    assert wrong.sum() == 21  # a quarter of 84
    assert set(np.unique(cycles)) == {-1, 0, 1}
    sizes = []
    for pair in cycles[wrong]:
        assert ndimage.label(pair)[1] == 1
        sizes.append((pair != 0).mean())
    assert 0.005 < np.mean(sizes) < 0.3
    np.testing.assert_array_equal(
        clean.unwrapped_phase, simulate.interferogram_scene(shape=(90, 80), seed=2)[0].unwrapped_phase
    )


def test_missing_samples_are_nan_in_phase_and_coherence() -> None:
    stack, truth = simulate.interferogram_scene(shape=(70, 70), nan_fraction=0.05)
    missing = stack.unwrapped_phase.isnull()
    assert float(missing.mean()) == pytest.approx(0.05, abs=0.002)
    np.testing.assert_array_equal(missing, stack.coherence.isnull())
    assert not truth.coherence.isnull().any()
    empty, _ = simulate.interferogram_scene(shape=(4, 4), nan_fraction=1.0)
    assert empty.unwrapped_phase.isnull().all()


def test_wrapped_phase_is_the_unwrapped_one_modulo_a_cycle() -> None:
    unwrapped, _ = simulate.interferogram_scene(shape=(40, 40), seed=4)
    stack, _ = simulate.interferogram_scene(shape=(40, 40), seed=4, wrapped=True)
    schema.INTERFEROGRAMS.check(stack, needs=("phase",))
    assert "unwrapped_phase" not in stack
    assert stack.phase.dtype == np.float32
    assert float(abs(stack.phase).max()) <= np.float32(np.pi)
    cycles = (unwrapped.unwrapped_phase - stack.phase) / (2 * np.pi)
    assert float(abs(cycles).max()) > 0.9
    np.testing.assert_allclose(cycles, np.rint(cycles), atol=1e-5)


# levelling ------------------------------------------------------------------------------------------------


def test_levelling_errors_have_their_std_and_correlation(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    _, truth = scene
    before = truth.copy(deep=True)
    survey = simulate.levelling(truth, benchmarks=3000, campaigns=3, std=0.002)
    xr.testing.assert_identical(truth, before)
    schema.LEVELLING.check(survey, needs=("displacement", "std", "x", "y"))
    error = (survey.displacement - survey.true_displacement).values
    np.testing.assert_array_equal(error[0], 0)
    np.testing.assert_allclose(error[1:, 1:].std(axis=1), 0.002, rtol=0.05)
    assert np.corrcoef(error[1, 1:], error[2, 1:])[0, 1] == pytest.approx(0.5, abs=0.05)
    # the reference neither moves nor errs, and says so
    np.testing.assert_array_equal(survey["std"][:, 0], 0)
    np.testing.assert_array_equal(survey.displacement[:, 0], 0)
    np.testing.assert_array_equal(survey["std"][1:, 1:], 0.002)
    assert len({(float(x), float(y)) for x, y in zip(survey.x, survey.y, strict=True)}) == 3000


def test_levelling_sees_the_truth_between_epochs() -> None:
    bowl = simulate.Bowl(settlement=0.1, function="linear")
    _, truth = simulate.interferogram_scene(shape=(20, 24), **{**QUIET, "bowl": bowl})
    survey = simulate.levelling(
        truth, benchmarks=[(600.0, 470.0), (0.0, 0.0)], campaigns=["2018-02-01", "2018-07-01", "2018-12-01"], std=0.0
    )
    days = (survey.time - survey.time[0]) / np.timedelta64(1, "D")
    shape = np.exp(-((survey.x - truth.attrs["bowl_x"]) ** 2 + (survey.y - truth.attrs["bowl_y"]) ** 2) / 250.0**2)
    expected = -0.1 / 365.25 * days * (shape - shape[0])
    np.testing.assert_allclose(survey.displacement, expected.transpose("time", "benchmark"), atol=2e-8)
    assert survey.x.values[1:].tolist() == [600.0, 0.0]
    assert survey.y.values[1:].tolist() == [450.0, 0.0]  # the nearest pixel
    np.testing.assert_array_equal(survey.displacement, survey.true_displacement)


def test_levelling_stands_where_it_is_told(scene: tuple[xr.Dataset, xr.Dataset]) -> None:
    _, truth = scene
    survey = simulate.levelling(truth)
    assert dict(survey.sizes) == {"time": 4, "benchmark": 12}
    assert bool(truth.stable.sel(x=survey.x[0], y=survey.y[0]))
    assert (float(survey.x[1]), float(survey.y[1])) == (truth.attrs["bowl_x"], truth.attrs["bowl_y"])
    assert survey.time.values[[0, -1]].tolist() == truth.time.values[[0, -1]].tolist()
    assert float(survey.displacement[-1, 1]) == pytest.approx(-0.25, abs=0.02)
    placed = simulate.levelling(truth, stable={"row": 3, "col": 4})
    assert (float(placed.x[0]), float(placed.y[0])) == (200.0, 4800.0)
    corner = (truth.x > 5500) & (truth.y > 4500)
    inside = simulate.levelling(truth, stable=corner)
    assert float(inside.x[0]) > 5500
    assert float(inside.y[0]) > 4500
    xr.testing.assert_identical(simulate.levelling(truth, seed=5), simulate.levelling(truth, seed=5))
    assert not simulate.levelling(truth, seed=5).equals(simulate.levelling(truth, seed=6))


def test_levelling_of_a_lazy_truth() -> None:
    arguments: dict[str, Any] = {"shape": (30, 30), "epochs": 6}
    _, truth = simulate.interferogram_scene(**arguments)
    _, lazy = simulate.interferogram_scene(**arguments, chunks={"y": 16, "x": 16})
    xr.testing.assert_identical(simulate.levelling(truth), simulate.levelling(lazy))


# bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (-3, 4)}, "rows of shape must be a whole number of at least 1, got -3"),
        ({"shape": (3, 4.5)}, "columns of shape"),
        ({"shape": 5}, r"shape must be \(rows, columns\), got 5"),
        ({"spacing": 0.0}, "spacing must be positive"),
        ({"spacing": float("nan")}, "spacing must be a finite number"),
        ({"epochs": 1}, "epochs must be a whole number of at least 2, got 1"),
        ({"interval": -12}, "interval must be positive"),
        ({"interval": timedelta(0)}, "positive length of time"),
        ({"start": "yesterday"}, "start must be a date"),
        ({"dates": []}, "dates must be at least two dates"),
        ({"dates": ["2018-01-06", "NaT"]}, "none of them NaT"),
        ({"dates": ["2018-01-06", "soon"]}, "dates must be a sequence of dates"),
        ({"dates": ["2018-01-18", "2018-01-06"]}, "2018-01-18 is followed by 2018-01-06"),
        ({"dates": ["2018-01-06", "2018-01-06"]}, "each only once"),
        ({"pairs": 0}, "pairs must be a whole number of at least 1"),
        ({"pairs": []}, "list of"),
        ({"pairs": [(0, 1), (1,)]}, "list of"),
        ({"pairs": [(0.0, 1.0)]}, "list of"),
        ({"pairs": [(1, 0)]}, r"reference < secondary < 4, got \(1, 0\)"),
        ({"pairs": [(0, 4)]}, r"got \(0, 4\)"),
        ({"pairs": [(0, 1), (0, 1)]}, r"got \(0, 1\) 2 times"),
        ({"wavelength": 5.55}, "wavelength must lie between 0.005 and 2 m, got 5.55"),
        ({"incidence": 0.68}, "radians"),
        ({"incidence": 95.0}, "incidence must lie between 0 and 90"),
        ({"heading": "north"}, "heading must be a finite number"),
        ({"slant_range": 880.0}, "slant_range must lie between 1000"),
        ({"looks": 0.5}, "looks must be at least 1"),
        ({"looks": 2.5, "noise": "epochs"}, "whole number with noise='epochs'"),
        ({"noise": "white"}, "noise must be one of 'pairs', 'epochs', None, got 'white'"),
        ({"bowl": 0.25}, "bowl must be a simulate.Bowl or None, got 0.25"),
        ({"bowl": simulate.Bowl(centre=(1e4, 0.0))}, "centre of bowl must lie in the scene, x 0 to 200 m, got 10000"),
        ({"bowl": simulate.Bowl(function=lambda t: t[:1])}, "one finite number for each of the times"),
        ({"bowl": simulate.Bowl(function=lambda t: t * np.nan)}, "one finite number for each of the times"),
        ({"atmosphere": 0.01}, "atmosphere must be a simulate.Atmosphere or None"),
        ({"decorrelation": 0.5}, "decorrelation must be a simulate.Decorrelation or None"),
        ({"decorrelation": simulate.Decorrelation(long_term=np.full((4, 4), 0.5))}, r"scene's shape \(4, 5\)"),
        ({"velocity": np.ones((5, 4))}, r"velocity must be a number or an array of the scene's shape \(4, 5\)"),
        ({"velocity": np.full((4, 5), np.nan)}, "velocity must be finite everywhere, got 20 values"),
        ({"velocity": "fast"}, "velocity must be a finite number of m/year"),
        ({"seasonal_amplitude": np.inf}, "seasonal_amplitude must be a finite number"),
        ({"residual_height_std": -1.0}, "residual_height_std must not be negative"),
        ({"baseline_std": -1.0}, "baseline_std must not be negative"),
        ({"unwrapping_error_fraction": 1.5}, "unwrapping_error_fraction must lie between 0 and 1, got 1.5"),
        ({"unwrapping_error_fraction": 0.5, "wrapped": True}, "a wrapped phase has no unwrapping errors"),
        ({"nan_fraction": -0.1}, "nan_fraction must lie between 0 and 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": True}, "seed must be a whole number"),
        ({"chunks": {"pair": 1}}, "chunks must be a mapping with the keys 'y' and 'x'"),
        ({"chunks": {"y": 0}}, r"chunks\['y'\] must be a whole number of at least 1"),
    ],
)
def test_bad_scene(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate.interferogram_scene(**{"shape": (4, 5), "epochs": 4, **arguments})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: simulate.Bowl(function="gauss"), "function of Bowl must be 'weibull', 'logistic', 'linear'"),
        (lambda: simulate.Bowl(parameters={"a": 1.0}), "may be 'eta', 'lam', 't0'; got 'a'"),
        (lambda: simulate.Bowl(function=np.sqrt, parameters={"a": 1.0}), "a function brings its own"),
        (lambda: simulate.Bowl(parameters={"eta": -1.0}), "parameter 'eta' of Bowl must be positive"),
        (lambda: simulate.Bowl(radius=0.0), "radius of Bowl must be positive"),
        (lambda: simulate.Bowl(centre=(1.0,)), "centre of Bowl"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: simulate.Bowl(centre=(1.0, np.nan)), "y of the centre of Bowl"),
        (lambda: simulate.Bowl(settlement=np.inf), "settlement of Bowl"),
        (lambda: simulate.Atmosphere(std=-0.01), "std of Atmosphere must not be negative"),
        (lambda: simulate.Atmosphere(slope=8 / 3), "slope of Atmosphere must be negative"),
        (lambda: simulate.Atmosphere(outer_scale=0.0), "outer_scale of Atmosphere must be positive"),
        (lambda: simulate.Decorrelation(long_term=1.2), r"long_term coherence .* in 0..1 \(1\), got 1.2"),
        (lambda: simulate.Decorrelation(long_term=(0.8, 0.2)), "pair"),
        (lambda: simulate.Decorrelation(long_term="high"), "long_term coherence"),  # type: ignore[arg-type]  # wrong
        (lambda: simulate.Decorrelation(long_term=np.nan), "long_term coherence"),
        (lambda: simulate.Decorrelation(long_term=0.5, initial=0.4), r"between long_term \(0.5\) and 1, got 0.4"),
        (lambda: simulate.Decorrelation(initial=1.1), "initial coherence"),
        (lambda: simulate.Decorrelation(time=-1.0), "time of Decorrelation"),
    ],
)
def test_bad_ingredient(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"benchmarks": 1}, "benchmarks must be a whole number of at least 2"),
        ({"benchmarks": 21}, "no more than the scene's 20 pixels, got 21"),
        ({"benchmarks": [1.0, 2.0]}, r"positions \(benchmark, 2\)"),
        ({"benchmarks": [(1e4, 0.0)]}, "x 0 to 200 m, got 10000"),
        ({"campaigns": 1}, "campaigns must be a whole number of at least 2"),
        ({"campaigns": ["2018-02-01"]}, "at least two dates in order"),
        ({"campaigns": ["2018-02-01", "2018-01-07"]}, "at least two dates in order"),
        ({"campaigns": ["2018-02-01", "later"]}, "campaigns must be a number or dates"),
        ({"campaigns": ["2017-02-01", "2018-02-01"]}, "within the record, 2018-01-06 to 2018-02-11, got 2017-02-01"),
        ({"std": -0.001}, "std must not be negative"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"stable": {"row": 9, "col": 0}}, "stable"),
    ],
)
def test_bad_levelling(arguments: dict[str, Any], message: str) -> None:
    _, truth = simulate.interferogram_scene(shape=(4, 5), epochs=4)
    with pytest.raises(InputError, match=message):
        simulate.levelling(truth, **arguments)


def test_levelling_needs_a_truth() -> None:
    stack, truth = simulate.interferogram_scene(shape=(4, 5), epochs=4)
    with pytest.raises(SchemaError, match="truth: not a valid SERIES"):
        simulate.levelling(stack)
    with pytest.raises(InputError, match="displacement_up"):
        simulate.levelling(truth.drop_vars("displacement_up"))


def test_read_only_arguments() -> None:
    dates: npt.NDArray[np.datetime64] = np.datetime64("2018-01-06", "ns") + np.arange(4) * np.timedelta64(12, "D")
    pairs = np.array([(0, 1), (1, 2), (2, 3)])
    for array in (dates, pairs):
        array.flags.writeable = False
    stack, _ = simulate.interferogram_scene(shape=(3, 3), dates=dates, pairs=pairs)
    assert stack.sizes["pair"] == 3
