"""Network inversion against dense float64 least squares, linear programming, the SVD and Mexico City."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import subsidence as sd
from subsidence.errors import DisconnectedNetworkWarning, InputError, SchemaError, SuspiciousDataWarning
from subsidence.network import Network
from subsidence.schema import Status

WAVELENGTH = 0.0555
METRES = -WAVELENGTH / (4 * np.pi)


def links(epochs: int, lags: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(i, i + lag) for i in range(epochs) for lag in lags if i + lag < epochs]


def make_stack(
    pairs: list[tuple[int, int]],
    *,
    places: int = 40,
    noise: float = 0.3,
    missing: float = 0.0,
    seed: int = 0,
    days: np.ndarray | None = None,
) -> tuple[xr.Dataset, np.ndarray]:
    """A network over points: phases of a random walk with noise; returns the stack and the true phases."""
    rng = np.random.default_rng(seed)
    epochs = max(max(pair) for pair in pairs) + 1
    days = np.arange(epochs) * 12 if days is None else days
    dates = np.datetime64("2018-01-06", "ns") + days.astype("m8[D]")
    first, second = np.array(pairs).T
    truth = np.cumsum(rng.normal(0.3, 0.6, (epochs, places)), axis=0)
    truth -= truth[0]
    coherence = rng.uniform(0.2, 0.95, (len(pairs), places)).astype("f4")
    phase = (truth[second] - truth[first] + noise * rng.standard_normal(coherence.shape)).astype("f4")
    phase[rng.random(phase.shape) < missing] = np.nan
    stack = xr.Dataset(
        {"unwrapped_phase": (("pair", "point"), phase), "coherence": (("pair", "point"), coherence)},
        {"reference": ("pair", dates[first]), "secondary": ("pair", dates[second]), "wavelength": WAVELENGTH},
    )
    return stack, truth


def dense(stack: xr.Dataset, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float64 least squares place by place: displacement, its std and the temporal coherence; NaN if rank-deficient."""
    network = Network.of(stack)
    epochs = network.dates.size
    design = np.zeros((network.first.size, epochs))
    design[np.arange(network.first.size), network.second] += 1
    design[np.arange(network.first.size), network.first] -= 1
    design = design[:, 1:]
    phase = stack.unwrapped_phase.values.astype(float)
    shape = (epochs, phase.shape[1])
    solution, std, coherence = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape[1], np.nan)
    for p in range(shape[1]):
        valid = np.isfinite(phase[:, p]) & (weights[:, p] > 0)
        a, y, w = design[valid], phase[valid, p], weights[valid, p]
        if np.linalg.matrix_rank(a) < epochs - 1:
            continue
        root = np.sqrt(w)
        x = np.linalg.lstsq(a * root[:, None], y * root, rcond=None)[0]
        residual = y - a @ x
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = (w * residual**2).sum() / (valid.sum() - epochs + 1)
        covariance = np.linalg.inv((a * w[:, None]).T @ a)
        solution[:, p] = np.r_[0, x] * METRES
        std[:, p] = np.r_[0, np.sqrt(factor * np.diag(covariance))] * abs(METRES)
        coherence[p] = abs(np.exp(1j * residual).mean())
    return solution, std, coherence


def variance_weights(coherence: np.ndarray, looks: float | None = None) -> np.ndarray:
    g = np.clip(coherence.astype(float), 0, 0.999)
    if looks is None:
        return np.maximum(g**2 / (1 - g**2), 1e-4)
    return np.maximum(2 * looks * g**2 / (1 - g**2), 3 / np.pi**2)


@pytest.mark.parametrize("lags", [(1, 2, 3), (1, 2, 11, 12), (1, 5, 17)], ids=["banded", "long", "wide"])
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["variance", "coherence", None, "given"])
def test_equals_dense_least_squares(lags, missing, weights):
    stack, _ = make_stack(links(24, lags), places=150, missing=missing, seed=3)
    expected_weights = {
        "variance": variance_weights(stack.coherence.values),
        "coherence": stack.coherence.values.astype(float),
        None: np.ones(stack.coherence.shape),
        "given": np.random.default_rng(1).uniform(0.1, 3, stack.coherence.shape).astype("f4").astype(float),
    }[weights]
    argument = stack.coherence.copy(data=expected_weights) if weights == "given" else weights
    series = sd.invert_network(stack, weights=argument)
    displacement, std, coherence = dense(stack, expected_weights)
    full = series.status.values == Status.OK
    assert np.array_equal(full, np.isfinite(coherence))
    assert full.sum() > 100
    np.testing.assert_allclose(series.displacement.values[:, full], displacement[:, full], atol=1e-5 * abs(METRES))
    np.testing.assert_allclose(series.displacement_std.values[:, full], std[:, full], rtol=2e-4, atol=1e-9)
    np.testing.assert_allclose(series.temporal_coherence.values[full], coherence[full], atol=2e-6)
    assert np.array_equal(series.pair_count.values, np.isfinite(stack.unwrapped_phase.values).sum(0))


def test_looks_bound_the_weight_of_what_says_nothing():
    stack, _ = make_stack(links(10, (1, 2, 3)), places=50, seed=4)
    stack.coherence[{"pair": slice(0, 5)}] = 0.0
    series = sd.invert_network(stack.assign_coords(looks=10.0))
    expected, _, _ = dense(stack, variance_weights(stack.coherence.values, 10.0))
    np.testing.assert_allclose(series.displacement.values, expected, atol=1e-5 * abs(METRES))


def test_weights_along_pairs_alone():
    stack, _ = make_stack(links(10, (1, 2, 3)), places=20, seed=5)
    along = xr.DataArray(np.linspace(0.5, 2, stack.sizes["pair"]), dims="pair")
    everywhere = along.broadcast_like(stack.unwrapped_phase)
    xr.testing.assert_identical(sd.invert_network(stack, weights=along), sd.invert_network(stack, weights=everywhere))


def test_mexico_city_reference_solution(mexico_dir):
    stack = sd.open_interferograms(mexico_dir, format="gamma")
    # The reference solution took 3e8 m/s for the speed of light.
    stack = stack.assign_coords(wavelength=0.05550415767769124)
    series = sd.invert_network(stack, weights=None, reference={"row": 9, "col": 8}).compute()
    reference = mexico_dir / "reference"
    coherence = np.load(reference / "tcoh_none.npy")
    solved = series.status.values == Status.OK
    assert np.array_equal(solved, np.isfinite(coherence))
    assert solved.sum() == 5882
    displacement = np.load(reference / "disp_m_none.npy")
    assert np.nanmax(np.abs(series.displacement.values - displacement)[:, solved]) < 1e-5
    assert np.nanmax(np.abs(series.temporal_coherence.values - coherence)[solved]) < 1e-5
    velocity = sd.estimate_velocity(series)
    whole = velocity.where(velocity.status == Status.OK)
    assert np.array_equal(np.isfinite(whole.velocity.values), solved)
    for name, file in (("velocity", "vel_mmyr_none.npy"), ("velocity_std", "velstd_mmyr_none.npy")):
        expected = np.load(reference / file)
        assert np.nanmax(np.abs(whole[name].values * 1e3 - expected)) < 0.01


def test_a_subsiding_place_subsides():
    stack, _ = make_stack(links(6, (1, 2)), places=3, noise=0.0)
    away = np.arange(6.0)[[pair[1] for pair in links(6, (1, 2))]] - np.arange(6.0)[[p[0] for p in links(6, (1, 2))]]
    stack["unwrapped_phase"] = stack.unwrapped_phase.copy(data=np.repeat(away[:, None], 3, axis=1).astype("f4"))
    series = sd.invert_network(stack, weights=None)
    assert (series.displacement.isel(time=-1) < 0).all()
    np.testing.assert_allclose(series.displacement.isel(time=-1), 5 * METRES, rtol=1e-6)


# Coverage: the stated std must hold what the network can know.


def test_std_covers_network_noise():
    rng = np.random.default_rng(8)
    stack, truth = make_stack(links(20, (1, 2, 3)), places=4000, noise=0.0, seed=8)
    sigma = 1 / np.sqrt(variance_weights(stack.coherence.values))
    stack["unwrapped_phase"] = stack.unwrapped_phase + (sigma * rng.standard_normal(sigma.shape)).astype("f4")
    series = sd.invert_network(stack)
    error = (series.displacement.values - truth * METRES)[1:]
    scaled = np.abs(error / series.displacement_std.values[1:])
    # dof = 54 - 19 = 35: Student t
    from scipy.stats import t

    assert (scaled < t.ppf(0.84134, 35)).mean() == pytest.approx(0.68269, abs=0.01)
    assert (scaled < t.ppf(0.975, 35)).mean() == pytest.approx(0.95, abs=0.01)


def test_std_from_coherence_needs_no_redundancy():
    stack, _ = make_stack(links(6, (1,)), places=5, seed=7)
    series = sd.invert_network(stack.assign_coords(looks=12.0))
    each = 1 / variance_weights(stack.coherence.values, 12.0)
    expected = abs(METRES) * np.sqrt(np.cumsum(each, axis=0))
    np.testing.assert_allclose(series.displacement_std.values[1:], expected, rtol=1e-4)


@pytest.mark.parametrize(("noise", "low", "high"), [("pairs", 0.66, 0.74), ("epochs", 0.45, 0.72)])
def test_std_covers_decorrelation_noise(noise, low, high):
    """Independent noise is covered as stated; noise that closes only in part, as it is in nature, less."""
    within = []
    for seed in range(6):
        stack, truth = sd.simulate.interferogram_scene(
            shape=(24, 24), epochs=16, atmosphere=None, residual_height_std=0.0, noise=noise, seed=seed
        )
        series = sd.invert_network(stack)
        steady = (truth.coherence.min("pair") > 0.3).values
        error = (series.displacement - truth.displacement).values[1:, steady]
        within.append((np.abs(error) < series.displacement_std.values[1:, steady]).mean())
    assert low < np.mean(within) < high


# Networks that fall apart.


def parted_stack(seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    pairs = [p for p in links(12, (1, 2)) if not (p[0] < 6 <= p[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make_stack(pairs, places=9, noise=0.1, seed=seed)


def test_unreachable_epochs_are_nan_and_said_so():
    stack, _ = parted_stack()
    with pytest.warns(DisconnectedNetworkWarning, match=r"2 parts .* 2018-01-06 \.\. 2018-03-07 \(6 epochs\)"):
        series = sd.invert_network(stack, weights=None)
    assert (series.status == Status.UNREACHABLE_EPOCHS).all()
    assert np.isfinite(series.displacement.values[:6]).all()
    assert np.isnan(series.displacement.values[6:]).all()
    assert np.isnan(series.displacement_std.values[6:]).all()
    alone = sd.invert_network(stack.isel(pair=slice(0, 9)), weights=None)
    np.testing.assert_allclose(series.displacement[:6], alone.displacement, rtol=1e-6)


def svd_minimum_norm(stack: xr.Dataset, place: int) -> np.ndarray:
    """Berardino's solution: minimum-norm velocities between epochs by the SVD, then summed."""
    network = Network.of(stack)
    years = sd.timescale.to_elapsed(network.dates)
    phase = stack.unwrapped_phase.values[:, place].astype(float)
    valid = np.isfinite(phase)
    steps = np.diff(years)
    design = np.zeros((phase.size, steps.size))
    for k, (a, b) in enumerate(zip(network.first, network.second, strict=True)):
        design[k, a:b] = steps[a:b]
    velocity = np.linalg.pinv(design[valid]) @ phase[valid]
    return np.r_[0, np.cumsum(velocity * steps)] * METRES


def test_minimum_norm_is_that_of_the_svd():
    days = np.cumsum([0, 12, 24, 12, 36, 12, 12, 12, 24, 12, 48, 12])
    pairs = [p for p in links(12, (1, 2)) if not (p[0] < 5 <= p[1] or p[0] < 9 <= p[1])]
    stack, _ = make_stack(pairs, places=30, noise=0.2, missing=0.15, seed=5, days=days)
    with pytest.warns(DisconnectedNetworkWarning, match=r"3 parts .* least norm of velocity"):
        series = sd.invert_network(stack, weights=None, minimum_norm=True)
    assert (series.status == Status.MINIMUM_NORM).all()
    for place in range(30):
        np.testing.assert_allclose(series.displacement.values[:, place], svd_minimum_norm(stack, place), atol=1e-6)


def test_one_place_falls_apart_alone():
    stack, _ = make_stack(links(10, (1, 2)), places=100, seed=6)
    across = [k for k, (a, b) in enumerate(links(10, (1, 2))) if a < 4 <= b]
    stack["unwrapped_phase"] = stack.unwrapped_phase.copy()
    stack.unwrapped_phase.values[across, 7] = np.nan
    series = sd.invert_network(stack, weights=None)
    assert series.status.values[7] == Status.UNREACHABLE_EPOCHS
    assert (np.delete(series.status.values, 7) == Status.OK).all()
    assert np.isnan(series.displacement.values[4:, 7]).all()
    assert np.isfinite(series.displacement.values[:4, 7]).all()
    joined = sd.invert_network(stack, weights=None, minimum_norm=True)
    np.testing.assert_allclose(joined.displacement.values[:, 7], svd_minimum_norm(stack, 7), atol=1e-6)
    assert (joined.status.values != Status.OK).sum() == 1


@pytest.mark.parametrize("options", [{}, {"weights": "coherence"}, {"weights": None, "robust": "huber"}])
@pytest.mark.parametrize("looks", [None, 20.0])
def test_parts_are_seen_whatever_the_weights(options, looks):
    """Pivots that ought to vanish are lost in rounding when weights differ by a factor of a million."""
    stack, _ = make_stack(links(12, (1, 2)), places=3000, seed=9)
    rng = np.random.default_rng(9)
    extreme = np.where(rng.random(stack.coherence.shape) < 0.5, rng.uniform(0, 0.02), rng.uniform(0.95, 1.0))
    stack["coherence"] = stack.coherence.copy(data=extreme.astype("f4"))
    across = [k for k, (a, b) in enumerate(links(12, (1, 2))) if a < 6 <= b]
    stack.unwrapped_phase.values[across, 1:] = np.nan  # the first place keeps the network in one piece
    if looks:
        stack = stack.assign_coords(looks=looks)
    series = sd.invert_network(stack, **options)
    assert (series.status.values[1:] == Status.UNREACHABLE_EPOCHS).all()
    assert np.isnan(series.displacement.values[6:, 1:]).all()
    assert np.isfinite(series.displacement.values[:6, 1:]).all()
    joined = sd.invert_network(stack, minimum_norm=True, **options)
    assert (joined.status.values[1:] == Status.MINIMUM_NORM).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_reached_epochs_are_those_of_the_graph(seed):
    stack, _ = make_stack(links(9, (1, 2, 5)), places=70, missing=0.45, seed=seed)
    series = sd.invert_network(stack, weights=None)
    network = Network.of(stack)
    for place in range(70):
        valid = np.isfinite(stack.unwrapped_phase.values[:, place])
        reached = {0}
        while True:
            more = {
                int(e)
                for a, b in zip(network.first[valid], network.second[valid], strict=True)
                if a in reached or b in reached
                for e in (a, b)
            } - reached
            if not more:
                break
            reached |= more
        if valid.any():
            assert set(np.flatnonzero(np.isfinite(series.displacement.values[:, place]))) == reached


def test_no_data_and_too_few_pairs_are_nan_never_zero():
    stack, _ = make_stack(links(8, (1, 2)), places=4, seed=7)
    values = stack.unwrapped_phase.values.copy()
    values[:, 1] = np.nan
    values[3:, 2] = np.nan
    stack["unwrapped_phase"] = stack.unwrapped_phase.copy(data=values)
    series = sd.invert_network(stack, min_pairs=5)
    assert series.status.values.tolist() == [Status.OK, Status.NO_DATA, Status.TOO_FEW_PAIRS, Status.OK]
    for name in ("displacement", "displacement_std"):
        assert np.isnan(series[name].values[:, 1:3]).all()
    assert np.isnan(series.temporal_coherence.values[1:3]).all()
    assert series.pair_count.values.tolist() == [13, 0, 3, 13]


def test_no_redundancy_has_no_std():
    stack, _ = make_stack(links(6, (1,)), places=5, seed=7)
    series = sd.invert_network(stack, weights=None)
    assert np.isnan(series.displacement_std.values[1:]).all()
    np.testing.assert_allclose(series.temporal_coherence, 1.0, atol=1e-6)


# Robust solutions.


def with_cycles(seed: int, share: float = 0.05) -> tuple[xr.Dataset, np.ndarray]:
    stack, truth = make_stack(links(20, (1, 2, 3)), places=300, noise=0.2, seed=seed)
    rng = np.random.default_rng(seed + 1)
    cycles = np.where(
        rng.random(stack.unwrapped_phase.shape) < share, rng.choice([-1, 1], stack.unwrapped_phase.shape), 0
    )
    stack["unwrapped_phase"] = stack.unwrapped_phase + (2 * np.pi * cycles).astype("f4")
    return stack, truth


def test_robust_solutions_withstand_unwrapping_errors():
    stack, truth = with_cycles(1)
    rms = {
        robust: float(
            np.sqrt(((sd.invert_network(stack, weights=None, robust=robust).displacement - truth * METRES) ** 2).mean())
        )
        for robust in (None, "huber", "l1")
    }
    assert rms["l1"] < 0.4 * rms[None]
    assert rms["huber"] < 0.6 * rms[None]


@pytest.mark.parametrize("share", [0.0, 0.03])
@pytest.mark.parametrize(("robust", "one", "two"), [("huber", 0.65, 0.93), ("l1", 0.74, 0.965)])
def test_std_of_robust_solutions(robust, one, two, share):
    """Huber's covers a little less than it says, that of L1 a little more; neither is fooled by unwrapping errors."""
    stack, truth = with_cycles(4, share)
    series = sd.invert_network(stack, weights=None, robust=robust)
    scaled = np.abs((series.displacement.values - truth * METRES)[1:] / series.displacement_std.values[1:])
    assert (scaled < 1).mean() == pytest.approx(one, abs=0.04)
    assert (scaled < 1.96).mean() == pytest.approx(two, abs=0.025)


def test_l1_reaches_the_linear_programme():
    stack, _ = with_cycles(2)
    series = sd.invert_network(stack, weights=None, robust="l1")
    network = Network.of(stack)
    pairs, epochs = network.first.size, network.dates.size
    design = np.zeros((pairs, epochs))
    design[np.arange(pairs), network.second] = 1
    design[np.arange(pairs), network.first] = -1
    design = design[:, 1:]
    one = np.eye(pairs)
    for place in range(0, 300, 20):
        y = stack.unwrapped_phase.values[:, place].astype(float)
        best = linprog(
            np.r_[np.zeros(epochs - 1), np.ones(pairs)],
            A_ub=np.block([[design, -one], [-design, -one]]),
            b_ub=np.r_[y, -y],
            bounds=[(None, None)] * (epochs - 1) + [(0, None)] * pairs,
        ).fun
        ours = np.abs(y - design @ (series.displacement.values[1:, place] / METRES)).sum()
        assert best - 1e-3 <= ours <= 1.005 * best


def test_huber_minimises_hubers_loss():
    stack, _ = with_cycles(3)
    series = sd.invert_network(stack, weights=None, robust="huber")
    assert (series.status == Status.OK).all()
    plain = sd.invert_network(stack, weights=None)
    network = Network.of(stack)
    for place in range(0, 300, 37):
        y = stack.unwrapped_phase.values[:, place].astype(float)

        def residual(values, y=y):
            return y - (values[network.second] - values[network.first])

        found = residual(series.displacement.values[:, place].astype(float) / METRES)
        bound = 1.345 * 1.4826 * np.median(np.abs(found))
        psi = np.clip(found, -bound, bound)
        gradient = np.zeros(network.dates.size)
        np.add.at(gradient, network.second, psi)
        np.add.at(gradient, network.first, -psi)
        start = residual(plain.displacement.values[:, place].astype(float) / METRES)
        assert np.abs(gradient[1:]).max() < 0.01 * np.abs(start).max()


# Invariants.


def scene(seed: int, missing: float = 0.1) -> xr.Dataset:
    """A small raster, wide enough for several batches and blocks with an odd remainder."""
    stack, _ = make_stack(links(9, (1, 2, 3)), places=7 * 83, missing=missing, seed=seed)
    raster = stack.drop_vars(["unwrapped_phase", "coherence"])
    for name in ("unwrapped_phase", "coherence"):
        raster[name] = (("pair", "y", "x"), stack[name].values.reshape(-1, 7, 83))
    return raster


@pytest.mark.parametrize(
    "options",
    [
        {"weights": None},
        {},
        {"robust": "huber"},
        {"robust": "l1"},
        *({"reference": {"row": 3, "col": c}} for c in (4, 5, 6)),
    ],
)
def test_serial_threaded_and_dask_give_the_same_bits(options, monkeypatch):
    stack = scene(1)
    for col, value in ((4, 0.5), (5, -7.4), (6, 0.0)):  # the sign once decided whether dask could name the layer
        stack.unwrapped_phase.values[:, 3, col] = value
    monkeypatch.setattr("subsidence._blocks._BLOCK", 100)
    serial = sd.invert_network(stack, threads=1, **options)
    xr.testing.assert_identical(serial, sd.invert_network(stack, threads=3, **options))
    for chunks in ({"y": 2, "x": 31}, {"pair": 5}, {"y": 7, "x": 83, "pair": 1}):
        lazy = sd.invert_network(stack.chunk(chunks), **options)
        assert lazy.displacement.chunks is not None
        xr.testing.assert_identical(serial, lazy.compute())


def test_distributed_gives_the_same_bits():
    from distributed import Client, LocalCluster

    stack = scene(2)
    serial = sd.invert_network(stack)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        lazy = sd.invert_network(stack.chunk({"y": 3, "x": 40})).compute()
    xr.testing.assert_identical(serial, lazy)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_pairs_and_places_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    stack, _ = make_stack(links(8, (1, 2, 4)), places=130, missing=0.15, seed=seed % 1000)
    series = sd.invert_network(stack)
    places = rng.permutation(130)
    xr.testing.assert_identical(series.isel(point=places), sd.invert_network(stack.isel(point=places)))
    pairs = rng.permutation(stack.sizes["pair"])
    shuffled = sd.invert_network(stack.isel(pair=pairs))
    assert np.array_equal(series.status, shuffled.status)
    xr.testing.assert_allclose(series, shuffled, atol=1e-8, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(-4, 4).filter(lambda f: abs(f) > 0.01))
def test_displacement_is_linear_in_phase(seed, factor):
    stack, _ = make_stack(links(8, (1, 2)), places=20, seed=seed)
    scaled = stack.assign(unwrapped_phase=stack.unwrapped_phase * np.float32(factor))
    np.testing.assert_allclose(
        sd.invert_network(scaled).displacement,
        np.float32(factor) * sd.invert_network(stack).displacement,
        atol=2e-7,
        rtol=1e-5,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_reference_is_zero_and_only_differences_count(seed):
    stack, _ = make_stack(links(8, (1, 2)), places=20, seed=seed)
    series = sd.invert_network(stack, reference={"point": 5})
    assert (series.displacement.isel(point=5) == 0).all()
    offset = np.random.default_rng(seed).normal(0, 20, stack.sizes["pair"]).astype("f4")
    moved = stack.assign(unwrapped_phase=stack.unwrapped_phase + xr.Variable("pair", offset))
    np.testing.assert_allclose(
        sd.invert_network(moved, reference={"point": 5}).displacement, series.displacement, atol=3e-7
    )


def test_dims_in_any_order_and_float64():
    stack = scene(3)
    expected = sd.invert_network(stack)
    turned = stack.assign(unwrapped_phase=stack.unwrapped_phase.astype("f8")).transpose("x", "pair", "y")
    xr.testing.assert_identical(sd.invert_network(turned), expected)


def test_input_is_not_changed():
    stack = scene(4)
    for name in ("unwrapped_phase", "coherence"):
        stack[name].values.flags.writeable = False
    before = stack.copy(deep=True)
    sd.invert_network(stack)
    xr.testing.assert_identical(stack, before)


def test_references():
    stack = scene(5, missing=0.0)
    mask = xr.zeros_like(stack.coherence.isel(pair=0, drop=True), dtype=bool)
    mask[2:4, 10:15] = True
    by_mask = sd.invert_network(stack, weights=None, reference=mask)
    np.testing.assert_allclose(by_mask.displacement.where(mask).mean(("y", "x")), 0, atol=1e-7)
    assert by_mask.attrs["reference"] == "mean of 10 pixels"
    best = sd.invert_network(stack, reference="max_coherence")
    mean = stack.coherence.mean("pair")
    row, col = np.unravel_index(int(mean.values.argmax()), mean.shape)
    assert (best.attrs["reference_row"], best.attrs["reference_col"]) == (row, col)
    assert (best.displacement[:, row, col] == 0).all()
    assert best.attrs["reference_time"] == "2018-01-06T00:00:00"


def test_progress_and_threads():
    stack = scene(6)
    told: list[tuple[int, int]] = []
    sd.invert_network(stack, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7 * 83, 7 * 83)
    with pytest.raises(InputError, match="threads must be a positive whole number"):
        sd.invert_network(stack, threads=0)


# Residual height.


def height_stack(seed: int, places: int = 400, sigma: float = 0.1) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    epochs = 30
    pairs = links(epochs, (1, 2, 3))
    stack, _ = make_stack(pairs, places=places, noise=0.0, seed=seed)
    first, second = np.array(pairs).T
    years = np.arange(epochs) * 12 / 365.25
    baseline = rng.normal(0, 80, epochs)
    height = rng.normal(0, 25, places)
    motion = np.outer(years, rng.normal(-0.03, 0.02, places)) + np.outer(years**2, rng.normal(0, 0.01, places))
    atmosphere = rng.normal(0, 0.002, (epochs, places))
    delay = np.outer(baseline, height) / (880e3 * np.sin(np.deg2rad(39)))
    total = (motion + atmosphere + delay) / METRES
    noise = sigma * rng.standard_normal((len(pairs), places))
    stack["unwrapped_phase"] = stack.unwrapped_phase.copy(data=(total[second] - total[first] + noise).astype("f4"))
    stack = stack.assign_coords(
        perpendicular_baseline=("pair", baseline[second] - baseline[first]), slant_range=880e3, incidence=39.0
    )
    return stack, height, motion - motion[0]


def test_residual_height_is_found_inside_its_error():
    stack, height, motion = height_stack(1, places=3000)
    series = sd.invert_network(stack, weights=None, residual_height=True)
    error = series.residual_height.values - height
    scaled = error / series.residual_height_std.values
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)
    assert (np.abs(scaled) < 1).mean() == pytest.approx(0.67, abs=0.03)
    assert (np.abs(scaled) < 2.056).mean() == pytest.approx(0.95, abs=0.015)
    plain = sd.invert_network(stack, weights=None)
    left = np.sqrt(((series.displacement.values - motion) ** 2).mean())
    before = np.sqrt(((plain.displacement.values - motion) ** 2).mean())
    assert left < 0.7 * before
    assert (series.displacement.values[0] == 0).all()


def test_residual_height_without_noise_is_exact_and_lazy():
    rng = np.random.default_rng(0)
    stack, _, _ = height_stack(2, places=50, sigma=0.0)
    network = Network.of(stack)
    baseline = network.solve(stack.perpendicular_baseline.values)
    height = rng.normal(0, 10, 50)
    years = sd.timescale.to_elapsed(network.dates)
    motion = np.outer(years, rng.normal(0, 0.05, 50)) + np.outer(years**2, rng.normal(0, 0.02, 50))
    total = (motion + np.outer(baseline, height) / (880e3 * np.sin(np.deg2rad(39)))) / METRES
    phase = (total[network.second] - total[network.first]).astype("f4")
    stack["unwrapped_phase"] = stack.unwrapped_phase.copy(data=phase)
    series = sd.invert_network(stack, weights=None, residual_height=True)
    np.testing.assert_allclose(series.residual_height, height, atol=2e-3)
    np.testing.assert_allclose(series.displacement, motion, atol=2e-6)
    lazy = sd.invert_network(stack.chunk({"point": 13}), weights=None, residual_height=True)
    xr.testing.assert_identical(series, lazy.compute())


# Bad input.


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda s: s.drop_vars("wavelength"), {}, SchemaError, "'wavelength' is missing"),
        (lambda s: s.assign_coords(wavelength=5.55), {}, SchemaError, "wavelength"),
        (lambda s: s.rename(unwrapped_phase="phase"), {}, InputError, "unwrap it first"),
        (lambda s: s.drop_vars("coherence"), {}, InputError, "weights=None"),
        (lambda s: s.assign(coherence=s.coherence * 255), {}, InputError, "divide by 255"),
        (lambda s: s.isel(pair=[0, 1, 2, 1]), {}, InputError, "there 2 times"),
        (
            lambda s: s.assign_coords(reference=s.secondary.variable, secondary=s.reference.variable),
            {},
            InputError,
            "swap its dates and negate its phase",
        ),
        (lambda s: s.where(False), {"weights": None}, InputError, "NaN everywhere"),
        (lambda s: s, {"reference": {"row": 99, "col": 0}}, InputError, r"'row'\] is 99, outside"),
        (
            lambda s: s.where(s.x_number != 4),
            {"reference": {"row": 0, "col": 4}},
            InputError,
            "has no data in 21 of 21",
        ),
        (lambda s: s, {"reference": "best"}, InputError, "'max_coherence'"),
        (lambda s: s, {"weights": "var"}, InputError, "weights must be 'variance'"),
        (lambda s: s, {"weights": np.ones(21)}, InputError, "weights must be 'variance'"),
        (lambda s: s, {"min_pairs": "3"}, InputError, "min_pairs must lie between"),
        (lambda s: s, {"robust": "median"}, InputError, "robust must be None"),
        (lambda s: s, {"min_pairs": 0}, InputError, "min_pairs must lie between 1 and the number of pairs, 21"),
        (lambda s: s, {"residual_height": True}, InputError, "needs 'perpendicular_baseline'"),
        (lambda s: s.assign_coords(incidence=0.6), {}, SchemaError, "looks like radians"),
        (lambda s: s.isel(pair=slice(0)), {}, InputError, "holds no pair"),
        (lambda s: s.isel(pair=0), {}, SchemaError, "dims"),
    ],
)
def test_bad_input(change, options, error, match):
    stack = scene(7, missing=0.0)
    number = xr.DataArray(np.arange(83), dims="x")
    stack = change(stack.assign_coords(x_number=number))
    with pytest.raises(error, match=match):
        sd.invert_network(stack, **options)


def test_wrapped_phase_given_as_unwrapped():
    stack = scene(8, missing=0.0)
    angle = np.angle(np.exp(5j * stack.unwrapped_phase.values)).astype("f4")
    wrapped = stack.assign(unwrapped_phase=stack.unwrapped_phase.copy(data=angle))
    with pytest.raises(InputError, match="looks wrapped"):
        sd.invert_network(wrapped)
    with pytest.raises(InputError, match="looks wrapped"):
        sd.invert_network(wrapped.chunk({"x": 40})).compute()


def test_zeros_for_no_data_are_suspected():
    stack = scene(9, missing=0.0)
    zeros = stack.assign(unwrapped_phase=stack.unwrapped_phase.where(xr.DataArray(np.arange(83), dims="x") > 5, 0.0))
    with pytest.warns(SuspiciousDataWarning, match="if 0 stands for no data"):
        sd.invert_network(zeros)


def test_zeros_in_some_pairs_are_suspected_too():
    stack = scene(9, missing=0.0)
    values = stack.unwrapped_phase.values.copy()
    for k in range(values.shape[0]):
        values[k, :, (3 * k) % 80 : (3 * k) % 80 + 2] = 0.0
    with pytest.warns(SuspiciousDataWarning, match="% of unwrapped_phase is exactly 0"):
        sd.invert_network(stack.assign(unwrapped_phase=stack.unwrapped_phase.copy(data=values)))


def test_zeros_at_the_reference_are_not_suspected():
    stack = scene(9, missing=0.0)
    sd.invert_network(stack.assign(unwrapped_phase=stack.unwrapped_phase - stack.unwrapped_phase[:, 2:3, 5:6].values))


@pytest.mark.parametrize(
    "change", [lambda w: w.isel(pair=slice(None, None, -1)), lambda w: w.isel(y=slice(None, None, -1))]
)
def test_weights_of_other_labels(change):
    stack = scene(10).assign_coords(y=np.arange(7.0))
    with pytest.raises(InputError, match="weights differ from stack in the coordinate"):
        sd.invert_network(stack, weights=change(stack.coherence))


def test_weights_along_pairs_stay_lazy():
    stack = scene(11)
    along = xr.DataArray(np.linspace(0.5, 2, stack.sizes["pair"]), dims="pair")
    lazy = sd.invert_network(stack.chunk({"x": 30}), weights=along)
    assert lazy.displacement.chunks is not None
    xr.testing.assert_identical(lazy.compute(), sd.invert_network(stack, weights=along))


def test_provenance_and_coordinates():
    stack = (
        scene(12)
        .assign_attrs(delays_removed="plane")
        .assign_coords(term=("term", ["a"]), gain=("pair", np.ones(21)), height=(("y", "x"), np.ones((7, 83))))
    )
    series = sd.invert_network(stack)
    assert series.attrs["delays_removed"] == "plane"
    assert "height" in series.coords
    assert not {"term", "gain"} & set(series.variables)


def test_baselines_of_epochs_that_no_pair_reaches_are_nan():
    stack, _ = parted_stack()
    stack = stack.assign_coords(perpendicular_baseline=("pair", np.arange(18.0)), slant_range=880e3, incidence=39.0)
    with pytest.warns(DisconnectedNetworkWarning):
        series = sd.invert_network(stack, weights=None)
    assert np.isfinite(series.perpendicular_baseline.values).tolist() == [True] * 6 + [False] * 6
    with pytest.raises(InputError, match="needs pairs that join all epochs"):
        sd.invert_network(stack, weights=None, residual_height=True)


def test_weights_of_another_shape():
    stack = scene(10)
    with pytest.raises(InputError, match=r"expected .* or only 'pair'"):
        sd.invert_network(stack, weights=xr.DataArray(np.ones(3), dims="pair"))
    with pytest.raises(InputError, match="must not be negative"):
        sd.invert_network(stack, weights=-stack.coherence)
