"""Orbital ramps and height-correlated delay: planted ones come back, subsidence stays."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr

from subsidence import schema
from subsidence.errors import InputError, SchemaError, SuspiciousDataWarning
from subsidence.stack import closure_phase, correct_delays

TERMS = ("x", "y", "x2", "xy", "y2")
SHAPE = (30, 40)


def make_stack(
    *, epochs: int = 8, lag: int = 3, noise: float = 0.0, seed: int = 0, dtype: Any = np.float64
) -> tuple[xr.Dataset, dict[str, np.ndarray]]:
    """Scene of white noise on hills that do not follow the ramp, and the terms at each place."""
    random = np.random.default_rng(seed)
    dates = np.datetime64("2018-01-06", "ns") + np.arange(epochs) * np.timedelta64(12, "D")
    pairs = np.array([(i, j) for i, j in itertools.combinations(range(epochs), 2) if j - i <= lag])
    phase = noise * random.normal(size=(len(pairs), *SHAPE)) + random.uniform(-40, 40, (len(pairs), 1, 1))
    y, x = np.arange(SHAPE[0])[::-1] * 90.0 + 2e6, np.arange(SHAPE[1]) * 90.0 + 5e5
    v, u = np.meshgrid(np.linspace(1, -1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    height = 2300 + 150 * np.sin(3 * u) * np.cos(4 * v) + random.normal(0, 20, SHAPE)
    stack = xr.Dataset(
        {"unwrapped_phase": (("pair", "y", "x"), phase.astype(dtype))},
        {
            "reference": ("pair", dates[pairs[:, 0]]),
            "secondary": ("pair", dates[pairs[:, 1]]),
            "wavelength": 0.0555,
            "x": x,
            "y": y,
            "height": (("y", "x"), height),
        },
    )
    fields = dict(zip(TERMS, (u, v, u * u, u * v, v * v), strict=True))
    return stack, fields | {"height": height}


def per_epoch(stack: xr.Dataset, terms: int, *, seed: int = 1) -> np.ndarray:
    """Coefficients of pairs that are differences between epochs."""
    dates, numbers = np.unique(np.concatenate([stack.reference, stack.secondary]), return_inverse=True)
    first, second = np.split(numbers, 2)
    values = np.random.default_rng(seed).normal(0, 3, (dates.size, terms))
    return values[second] - values[first]


def planted(stack: xr.Dataset, coefficients: np.ndarray, fields: list[np.ndarray]) -> xr.Dataset:
    ramp = np.einsum("pk,kyx->pyx", coefficients, np.array(fields))
    return stack.assign(unwrapped_phase=stack.unwrapped_phase + ramp.astype(stack.unwrapped_phase.dtype))


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize(("ramp", "count"), [("plane", 2), ("quadratic", 5)])
def test_a_ramp_without_noise_comes_off_exactly(ramp, count, consistent):
    flat, fields = make_stack()
    coefficients = per_epoch(flat, count)
    if not consistent:
        coefficients = np.random.default_rng(4).normal(0, 3, coefficients.shape)
    found = correct_delays(
        planted(flat, coefficients, [fields[t] for t in TERMS[:count]]), ramp=ramp, consistent=consistent
    )
    np.testing.assert_allclose(found.unwrapped_phase, flat.unwrapped_phase, atol=1e-10)
    assert found.term.values.tolist() == list(TERMS[:count])
    np.testing.assert_allclose(found.ramp_coefficients, coefficients, atol=1e-10)
    assert (found.std_before > 0.1).all()
    np.testing.assert_allclose(found.std_after, 0, atol=1e-5)
    # The coefficients say what was removed, with the scaling in the attributes.
    scaling = found.ramp_coefficients.attrs
    u = (flat.x - scaling["x_centre"]) / scaling["x_half_width"]
    assert float(u.min()) == pytest.approx(-1)
    assert float(u.max()) == pytest.approx(1)


def test_height_delay_without_noise_comes_off_exactly():
    flat, fields = make_stack()
    slope = per_epoch(flat, 1) * 1e-2  # rad/m
    bent = planted(flat, slope, [fields["height"]])
    found = correct_delays(bent, height_delay=True)
    np.testing.assert_allclose(found.delay_per_height, slope[:, 0], rtol=1e-9)
    # Zero at the mean height: each interferogram keeps its constant.
    kept = flat.unwrapped_phase + slope[:, 0][:, None, None] * fields["height"].mean()
    np.testing.assert_allclose(found.unwrapped_phase, kept, atol=1e-9)
    assert found.delay_per_height.attrs["units"] == "rad/m"
    assert "ramp_coefficients" not in found


@pytest.mark.parametrize("consistent", [True, False])
def test_noisy_coefficients_stay_inside_their_error_bars(consistent):
    noise = 0.5
    flat, fields = make_stack(noise=noise, epochs=10)
    names = ["x", "y", "height"]
    coefficients = per_epoch(flat, 3) * np.array([1, 1, 1e-2])
    found = correct_delays(
        planted(flat, coefficients, [fields[n] for n in names]), ramp="plane", height_delay=True, consistent=consistent
    )
    # White noise of known size: the covariance of least squares, (noise^2) inv(G'G).
    design = np.stack([np.ones(SHAPE), *(fields[n] - fields[n].mean() for n in names)], axis=-1).reshape(-1, 4)
    bars = noise * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))[1:]
    estimate = np.column_stack([found.ramp_coefficients, found.delay_per_height])
    misfit = (estimate - coefficients) / bars
    spread = np.sqrt((misfit**2).mean())
    if consistent:  # 9 free epochs out of 24 pairs
        pairs, epochs = flat.sizes["pair"], 10
        assert spread == pytest.approx(np.sqrt((epochs - 1) / pairs), rel=0.35)
    else:
        assert spread == pytest.approx(1, rel=0.35)
    np.testing.assert_allclose(found.std_after, noise, rtol=0.1)


def test_epochs_are_solved_as_one_least_squares_problem():
    # Independent answer: all pixels of all pairs in one dense system, pairs with different gaps.
    stack, fields = make_stack(noise=1.0, epochs=4, lag=2)
    random = np.random.default_rng(2)
    holes = random.random(stack.unwrapped_phase.shape) < np.linspace(0, 0.8, stack.sizes["pair"])[:, None, None]
    stack = stack.assign(unwrapped_phase=stack.unwrapped_phase.where(~holes))
    found = correct_delays(stack, ramp="plane")
    numbers = np.unique(np.concatenate([stack.reference, stack.secondary]), return_inverse=True)[1]
    first, second = np.split(numbers, 2)
    rows, right = [], []
    for p, (i, j) in enumerate(zip(first, second, strict=True)):
        good = ~holes[p]
        block = np.zeros((good.sum(), 2 * 4 + stack.sizes["pair"]))
        for k, name in enumerate(("x", "y")):
            block[:, 2 * j + k] += fields[name][good]
            block[:, 2 * i + k] -= fields[name][good]
        block[:, 8 + p] = 1
        rows.append(block)
        right.append(stack.unwrapped_phase.values[p][good])
    solved = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0][:8].reshape(4, 2)
    np.testing.assert_allclose(found.ramp_coefficients, solved[second] - solved[first], atol=1e-9)


def bowl(stack: xr.Dataset, fields: dict[str, np.ndarray]) -> tuple[np.ndarray, xr.DataArray]:
    """Phase per year of a bowl off the centre, and the stable ground around it."""
    distance = np.hypot(fields["x"] - 0.6, fields["y"] + 0.5)
    rate = 30 * np.exp(-((distance / 0.5) ** 2))
    return rate, xr.DataArray(distance > 1.2, dims=("y", "x"))


def velocity(stack: xr.Dataset) -> np.ndarray:
    """Mean phase per year of the pairs, by place, relative to its median (which the stable ground rules)."""
    years = (stack.secondary - stack.reference) / np.timedelta64(1, "D") / 365.25
    rate = (stack.unwrapped_phase * years).sum("pair") / (years**2).sum()
    return (rate - rate.median()).values


def subsiding(*, ramps: float = 1.0) -> tuple[xr.Dataset, np.ndarray, xr.DataArray]:
    stack, fields = make_stack(noise=0.05)
    rate, stable = bowl(stack, fields)
    years = ((stack.secondary - stack.reference) / np.timedelta64(1, "D") / 365.25).values
    stack = stack.assign(
        unwrapped_phase=stack.unwrapped_phase - stack.unwrapped_phase.mean(("y", "x")) + years[:, None, None] * rate
    )
    return planted(stack, ramps * per_epoch(stack, 2), [fields["x"], fields["y"]]), rate - np.median(rate), stable


def test_a_mask_outside_the_bowl_keeps_the_subsidence_and_no_mask_eats_it():
    stack, truth, stable = subsiding()
    kept = correct_delays(stack, ramp="plane", mask=stable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuspiciousDataWarning)  # whether it is given is another test's question
        eaten = correct_delays(stack, ramp="plane")
    assert abs(velocity(kept) - truth).max() < 0.05 * truth.max()
    assert abs(velocity(eaten) - truth).max() > 0.25 * truth.max()
    assert abs(velocity(stack) - truth).max() > 0.25 * truth.max()  # the ramps, before


def test_eating_subsidence_is_warned_of_and_honest_ramps_are_not():
    stack, _, stable = subsiding(ramps=0.02)
    with pytest.warns(SuspiciousDataWarning, match="grows with the time between acquisitions"):
        correct_delays(stack, ramp="plane")
    correct_delays(stack, ramp="plane", mask=stable)
    flat, fields = make_stack(noise=0.2)
    correct_delays(planted(flat, per_epoch(flat, 2), [fields["x"], fields["y"]]), ramp="plane")


def test_random_ramps_are_rarely_called_deformation():
    flat, fields = make_stack(noise=0.2, epochs=12)
    called = 0
    for seed in range(60):
        bent = planted(flat, per_epoch(flat, 2, seed=seed), [fields["x"], fields["y"]])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            correct_delays(bent, ramp="plane")
        called += len(caught)
    assert called <= 3


def test_closures_stay_when_consistent_and_change_when_not():
    stack, fields = make_stack(noise=0.5)
    stack = planted(stack, np.random.default_rng(3).normal(0, 2, (stack.sizes["pair"], 2)), [fields["x"], fields["y"]])
    stack.unwrapped_phase[3, :10] += 2 * np.pi
    at = {"row": 15, "col": 20}
    before = closure_phase(stack, reference=at).closure
    for ramp in ("plane", "quadratic"):
        after = closure_phase(correct_delays(stack, ramp=ramp, height_delay=True), reference=at).closure
        np.testing.assert_allclose(after, before, atol=2e-5)
    alone = closure_phase(correct_delays(stack, ramp="plane", consistent=False), reference=at).closure
    assert abs(alone - before).max() > 0.5


def test_a_network_in_two_parts_is_solved_in_each():
    stack, fields = make_stack(epochs=8, lag=2)
    cut = np.datetime64("2018-02-20")
    apart = stack.isel(pair=np.flatnonzero((stack.secondary < cut) | (stack.reference > cut)))
    coefficients = per_epoch(apart, 2)
    found = correct_delays(planted(apart, coefficients, [fields["x"], fields["y"]]), ramp="plane")
    np.testing.assert_allclose(found.ramp_coefficients, coefficients, atol=1e-9)


def test_missing_data_and_missing_heights():
    flat, fields = make_stack()
    coefficients = per_epoch(flat, 1) * 1e-2
    bent = planted(flat, coefficients, [fields["height"]])
    bent.unwrapped_phase[2, :15] = np.nan
    bent.height[4, 5:9] = np.nan
    found = correct_delays(bent, height_delay=True)
    np.testing.assert_allclose(found.delay_per_height, coefficients[:, 0], rtol=1e-9)
    expected = bent.unwrapped_phase.isnull() | bent.height.isnull()
    np.testing.assert_array_equal(found.unwrapped_phase.isnull(), expected)
    ramped = correct_delays(bent, ramp="plane", consistent=False)
    np.testing.assert_array_equal(ramped.unwrapped_phase.isnull(), bent.unwrapped_phase.isnull())


def test_wrapped_phase_beside_it_follows():
    flat, fields = make_stack(noise=0.3)
    bent = planted(flat, per_epoch(flat, 2), [fields["x"], fields["y"]])
    bent["phase"] = ("pair", "y", "x"), np.angle(np.exp(1j * bent.unwrapped_phase.values))
    found = correct_delays(bent, ramp="plane")
    assert abs(found.phase).max() <= np.pi + 1e-9
    np.testing.assert_allclose(np.exp(1j * found.phase), np.exp(1j * found.unwrapped_phase), atol=1e-9)


def test_permuted_pairs_give_permuted_answers_and_flipped_axes_the_same():
    stack, _ = make_stack(noise=1.0)
    order = np.random.default_rng(0).permutation(stack.sizes["pair"])
    one = correct_delays(stack, ramp="quadratic", height_delay=True)
    two = correct_delays(stack.isel(pair=order), ramp="quadratic", height_delay=True)
    np.testing.assert_allclose(two.unwrapped_phase, one.unwrapped_phase[order], atol=1e-9)
    np.testing.assert_allclose(two.ramp_coefficients, one.ramp_coefficients[order], atol=1e-9)
    turned = correct_delays(stack.isel(y=slice(None, None, -1)).transpose("x", "pair", "y"), ramp="plane")
    plain = correct_delays(stack, ramp="plane")
    np.testing.assert_allclose(turned.ramp_coefficients, plain.ramp_coefficients, atol=1e-9)


@pytest.mark.parametrize("chunks", [{"y": 7, "x": 11}, {"pair": 3}, {"pair": 3, "y": 8}])
def test_chunked_data_stay_lazy_and_give_the_same(chunks):
    pytest.importorskip("dask")
    stack, fields = make_stack(noise=0.5, dtype=np.float32)
    stack["coherence"] = xr.ones_like(stack.unwrapped_phase)
    mask = bowl(stack, fields)[1]
    for options in ({"ramp": "quadratic", "height_delay": True}, {"ramp": "plane"}, {"height_delay": True}):
        expected = correct_delays(stack, mask=mask, **options)
        found = correct_delays(stack.chunk(chunks), mask=mask, **options)
        assert found.unwrapped_phase.chunks
        assert dict(found.chunks)
        assert found.unwrapped_phase.dtype == np.float32
        xr.testing.assert_allclose(expected, found.compute(), atol=1e-5)
        assert found.attrs == expected.attrs


def test_points_are_places_too():
    stack, _ = make_stack(noise=1.0)
    points = stack.stack(point=("y", "x")).reset_index("point")
    one, two = (
        correct_delays(stack, ramp="plane", height_delay=True),
        correct_delays(points, ramp="plane", height_delay=True),
    )
    np.testing.assert_allclose(two.ramp_coefficients, one.ramp_coefficients, atol=1e-9)
    np.testing.assert_allclose(two.unwrapped_phase, one.unwrapped_phase.values.reshape(two.unwrapped_phase.shape))


def test_corrections_follow_each_other():
    stack, _ = make_stack(noise=1.0)
    twice = correct_delays(correct_delays(stack, ramp="quadratic"), ramp="plane")
    assert twice.sizes["term"] == 2
    np.testing.assert_allclose(twice.ramp_coefficients, 0, atol=1e-8)  # nothing is left of it
    both = correct_delays(twice, height_delay=True)
    assert {"ramp_coefficients", "delay_per_height"} <= set(both.data_vars)
    assert both.attrs["delays_removed"].count(";") == 2


def test_results_are_stamped_and_inputs_left_alone():
    stack, _ = make_stack(noise=1.0)
    before = stack.copy(deep=True)
    stack.unwrapped_phase.values.flags.writeable = False
    found = correct_delays(stack, ramp="plane", height_delay=True)
    xr.testing.assert_identical(stack, before)
    schema.INTERFEROGRAMS.check(found)
    for name, unit in (("ramp_coefficients", "rad"), ("delay_per_height", "rad/m"), ("std_before", "rad")):
        assert found[name].attrs["units"] == unit
    assert found.attrs["delays_removed"] == "plane ramp and height-correlated delay fitted over epochs on all places"
    for name, std in (("std_before", stack), ("std_after", found)):
        np.testing.assert_allclose(found[name], std.unwrapped_phase.std(("y", "x")), rtol=1e-6)


def test_bad_input_is_refused():
    stack, _ = make_stack(noise=1.0)
    with pytest.raises(InputError, match="nothing to remove"):
        correct_delays(stack)
    with pytest.raises(InputError, match="ramp must be 'plane', 'quadratic' or None, got 'cubic'"):
        correct_delays(stack, ramp="cubic")
    with pytest.raises(SchemaError, match="'unwrapped_phase' is missing"):
        correct_delays(stack.rename(unwrapped_phase="phase"), ramp="plane")
    with pytest.raises(InputError, match="needs 'height'"):
        correct_delays(stack.drop_vars("height"), height_delay=True)
    with pytest.raises(InputError, match="'height' is constant or NaN over the scene"):
        correct_delays(stack.assign_coords(height=stack.height * 0 + 12), height_delay=True)
    mask = xr.DataArray(np.zeros(SHAPE, bool), dims=("y", "x"))
    with pytest.raises(InputError, match="without any True"):
        correct_delays(stack, ramp="plane", mask=mask)
    with pytest.raises(InputError, match="mask must be a boolean"):
        correct_delays(stack, ramp="plane", mask=mask.values)
    with pytest.raises(InputError, match="dtype float64, expected boolean"):
        correct_delays(stack, ramp="plane", mask=mask * 1.0)
    line = mask.copy()
    line[4] = True
    with pytest.raises(InputError, match="cannot tell the terms apart: the places fitted lie on one line"):
        correct_delays(stack, ramp="plane", mask=line)
    tilted = stack.assign_coords(height=(stack.height * 0 + stack.x))
    with pytest.raises(InputError, match="height follows the ramp"):
        correct_delays(tilted, ramp="plane", height_delay=True)
    empty = stack.copy(deep=True)
    empty.unwrapped_phase[5] = np.nan
    pair = f"{str(stack.reference.values[5])[:10]} to {str(stack.secondary.values[5])[:10]}"
    with pytest.raises(
        InputError, match=rf"pair {pair} \(number 5\) has data at 0 of the places fitted, fewer than 13"
    ):
        correct_delays(empty, ramp="plane")


def test_mexico_city_loses_subsidence_to_a_ramp_through_the_bowl(mexico_dir):
    # peers.md: another program's default plane leaves a correlation of 0.47 with the right velocity.
    from test_closure import mexico as mexico_fixture

    stack = mexico_fixture.__wrapped__(mexico_dir)
    truth = np.load(mexico_dir / "reference" / "vel_mmyr_none.npy")
    with pytest.warns(SuspiciousDataWarning, match="grows with the time"):
        eaten = correct_delays(stack, ramp="plane")
    stable = xr.DataArray(truth > -60, dims=("y", "x"))
    kept = correct_delays(stack, ramp="plane", mask=stable)
    good = np.isfinite(truth)

    def agreement(corrected: xr.Dataset) -> float:
        referenced = corrected.assign(unwrapped_phase=corrected.unwrapped_phase - corrected.unwrapped_phase[:, 9, 8])
        return float(np.corrcoef(velocity(referenced)[good], -truth[good])[0, 1])

    assert agreement(eaten) == pytest.approx(0.47, abs=0.005)
    assert agreement(kept) > 0.97
    assert agreement(stack) > 0.99
