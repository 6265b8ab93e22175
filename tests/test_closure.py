"""Closure phase of triplets: known loops, planted errors, and the numbers of Mexico City."""

from __future__ import annotations

import itertools
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import schema
from subsidence.errors import InputError, SchemaError, SuspiciousDataWarning
from subsidence.stack import closure_mask, closure_phase, unwrapping_error_counts

CYCLE = 2 * np.pi


def make_stack(
    *, epochs: int = 6, lag: int = 3, shape: tuple[int, int] = (4, 5), seed: int = 0, noise: float = 0.0
) -> xr.Dataset:
    """Unwrapped phases that close but for noise: differences of one phase per epoch, float32."""
    random = np.random.default_rng(seed)
    dates = np.datetime64("2018-01-06", "ns") + np.arange(epochs) * np.timedelta64(12, "D")
    pairs = np.array([(i, j) for i, j in itertools.combinations(range(epochs), 2) if j - i <= lag])
    phase = random.normal(0, 5, (epochs, *shape))
    phase = phase[pairs[:, 1]] - phase[pairs[:, 0]] + noise * random.normal(size=(len(pairs), *shape))
    return xr.Dataset(
        {"unwrapped_phase": (("pair", "y", "x"), phase.astype(np.float32))},
        {
            "reference": ("pair", dates[pairs[:, 0]]),
            "secondary": ("pair", dates[pairs[:, 1]]),
            "wavelength": 0.0555,
            "x": np.arange(shape[1]) * 90.0,
            "y": np.arange(shape[0])[::-1] * 90.0,
            "height": (("y", "x"), random.uniform(0, 100, shape)),
        },
    )


def plant(stack: xr.Dataset, pair: int, row: int, col: int, cycles: float = 1.0) -> xr.Dataset:
    result = stack.copy(deep=True)
    result.unwrapped_phase[pair, row, col] += CYCLE * cycles
    return result


@pytest.fixture(scope="module")
def mexico(mexico_dir: Path) -> xr.Dataset:
    """The unwrapped phases as they lie, 0 read as NaN."""
    rasterio = pytest.importorskip("rasterio")
    paths = sorted((mexico_dir / "geotiffs").glob("*_eqa_unw.tif"))
    phase, days = [], []
    for path in paths:
        with rasterio.open(path) as raster:
            band = raster.read(1)
        phase.append(np.where(band == 0, np.nan, band))
        days.append(re.search(r"(\d{8})-(\d{8})", path.name).groups())
    dates = np.array([[f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in pair] for pair in days], "M8[ns]")
    return xr.Dataset(
        {"unwrapped_phase": (("pair", "y", "x"), np.array(phase, np.float32))},
        {"reference": ("pair", dates[:, 0]), "secondary": ("pair", dates[:, 1]), "wavelength": 0.05550415767769124},
    )


def test_mexico_city_reproduces_the_published_numbers(mexico):
    # From peers.md of the data: 24 triplets, RMS 0.755 rad, 101 pixels; against pixel row 9, col 8.
    found = closure_phase(mexico, reference={"row": 9, "col": 8})
    assert found.sizes["triplet"] == 24
    values = found.closure.values.astype(float)
    assert np.sqrt(np.nanmean(values**2)) == pytest.approx(0.755, abs=5e-4)
    assert int((found.integer_closure.fillna(0) != 0).any("triplet").sum()) == 101
    mask = closure_mask(mexico, reference={"row": 9, "col": 8})
    assert int((~mask).sum()) == 101
    assert found.attrs["reference"] == "pixel row 9, col 8"


def test_mexico_city_without_a_reference_is_warned_of(mexico):
    with pytest.warns(SuspiciousDataWarning, match="constants of their own"):
        found = closure_phase(mexico)
    assert float(np.sqrt((found.closure.astype(float) ** 2).mean())) > 20


def test_mexico_city_counts_agree_with_a_direct_count(mexico):
    counts = unwrapping_error_counts(mexico, reference={"row": 9, "col": 8})
    found = closure_phase(mexico, reference={"row": 9, "col": 8})
    wrong = (found.integer_closure.fillna(0) != 0).values
    pairs = np.stack([found[name].values for name in ("pair_12", "pair_23", "pair_13")])
    for pair in range(mexico.sizes["pair"]):
        mine = (pairs == pair).any(axis=0)
        assert counts.triplet_count[pair] == mine.sum()
        assert counts.nonzero_count[pair] == wrong[mine].any(axis=0).sum()
        assert (counts.suspected[pair].values <= wrong[mine].any(axis=0)).all()
        closures = np.isfinite(found.closure.values[mine])
        share = wrong[mine].sum() / closures.sum() if closures.sum() else np.nan
        np.testing.assert_allclose(counts.nonzero_share[pair], share)


def test_triplets_are_all_there_and_named_by_date():
    stack = make_stack(epochs=6, lag=3)
    found = closure_phase(stack)
    dates = np.unique(stack.reference.values.tolist() + stack.secondary.values.tolist())
    there = set(zip(stack.reference.values.tolist(), stack.secondary.values.tolist(), strict=True))
    expected = [
        ends
        for ends in itertools.combinations(dates.tolist(), 3)
        if {(ends[0], ends[1]), (ends[1], ends[2]), (ends[0], ends[2])} <= there
    ]
    names = ("first", "second", "third")
    assert list(zip(*(found[name].values.tolist() for name in names), strict=True)) == expected
    for pair, one, two in (
        ("pair_12", "first", "second"),
        ("pair_23", "second", "third"),
        ("pair_13", "first", "third"),
    ):
        np.testing.assert_array_equal(stack.reference.values[found[pair]], found[one])
        np.testing.assert_array_equal(stack.secondary.values[found[pair]], found[two])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), epochs=st.integers(3, 7), lag=st.integers(2, 6))
def test_phases_of_epochs_close_whatever_they_are(seed, epochs, lag):
    found = closure_phase(make_stack(seed=seed, epochs=epochs, lag=lag))
    assert abs(found.closure).max() < 2e-5
    assert (found.integer_closure == 0).all()


def test_closure_is_the_plain_sum():
    stack = make_stack(noise=3.0)
    found = closure_phase(stack)
    phase = stack.unwrapped_phase.values.astype(float)
    plain = phase[found.pair_12] + phase[found.pair_23] - phase[found.pair_13]
    np.testing.assert_allclose(found.closure, plain, atol=1e-5)
    np.testing.assert_array_equal(found.integer_closure, np.rint(plain / CYCLE))


def test_wrapped_phase_gives_wrapped_closure_without_integers():
    stack = make_stack(noise=0.5)
    wrapped = stack.assign(phase=xr.DataArray(np.angle(np.exp(1j * stack.unwrapped_phase)), dims=("pair", "y", "x")))
    wrapped = wrapped.drop_vars("unwrapped_phase")
    found = closure_phase(wrapped)
    assert "integer_closure" not in found
    assert abs(found.closure).max() <= np.pi + 1e-6
    plain = closure_phase(stack).closure
    np.testing.assert_allclose(np.exp(1j * found.closure), np.exp(1j * plain), atol=2e-5)
    # A place that is the reference closes by definition.
    at = closure_phase(wrapped, reference={"row": 1, "col": 2}).closure[:, 1, 2]
    np.testing.assert_allclose(at, 0, atol=1e-6)
    with pytest.raises(InputError, match="wrapped phase, which has no mean"):
        closure_phase(wrapped, reference=xr.DataArray(np.ones((4, 5), bool), dims=("y", "x")))


def test_missing_data_is_nan_in_its_triplets_only():
    stack = make_stack()
    stack.unwrapped_phase[0, 1, 2] = np.nan
    found = closure_phase(stack)
    part = (found.pair_12 == 0) | (found.pair_23 == 0) | (found.pair_13 == 0)
    missing = found.closure.isnull()
    assert missing[:, 1, 2].values.tolist() == part.values.tolist()
    assert int(missing.sum()) == int(part.sum())
    np.testing.assert_array_equal(found.integer_closure.isnull(), missing)


@pytest.mark.parametrize("form", ["place", "mask"])
def test_a_reference_takes_constants_off(form):
    stack = make_stack(seed=3)
    constants = np.random.default_rng(1).integers(-9, 10, stack.sizes["pair"]) * CYCLE
    shifted = stack.assign(unwrapped_phase=stack.unwrapped_phase + xr.DataArray(constants, dims="pair"))
    mask = xr.DataArray(np.zeros((4, 5), bool), dims=("y", "x"))
    mask[1:3, 1:4] = True
    reference = {"row": 2, "col": 3} if form == "place" else mask
    found = closure_phase(shifted, reference=reference)
    assert (found.integer_closure == 0).all()
    assert abs(found.closure).max() < 1e-4
    assert closure_mask(shifted, reference=reference).all()
    assert int(unwrapping_error_counts(shifted, reference=reference).suspected_count.sum()) == 0


def test_mask_counts_errors_and_triplets():
    stack = plant(make_stack(epochs=5, lag=4), pair=2, row=1, col=1)
    stack.unwrapped_phase[:, 0, 0] = np.nan
    wrong = int((closure_phase(stack).integer_closure[:, 1, 1] != 0).sum())
    assert wrong == 3  # a pair of five fully joined epochs is part of three triplets
    assert not closure_mask(stack)[1, 1]
    assert not closure_mask(stack, max_errors=2)[1, 1]
    assert closure_mask(stack, max_errors=3)[1, 1]
    assert closure_mask(stack)[0, 0]
    checked = closure_mask(stack, min_triplets=1)
    assert not checked[0, 0]
    assert int((~checked).sum()) == 2
    assert checked.dtype == bool
    assert checked.dims == ("y", "x")


def test_the_planted_pair_is_found_first_and_alone():
    stack = make_stack(epochs=8, lag=3, shape=(20, 20), noise=0.3, seed=5)
    pair = 9
    for row, col in itertools.product(range(5, 15), range(3, 12)):
        stack = plant(stack, pair, row, col, cycles=1.0) if (row + col) % 2 else plant(stack, pair, row, col, -2.0)
    counts = unwrapping_error_counts(stack)
    assert counts.suspected_count.values.argmax() == pair
    assert int(counts.suspected_count[pair]) == 90
    assert int(counts.suspected_count.sum()) == 90
    assert counts.nonzero_share.values.argmax() == pair
    assert int((counts.nonzero_count > 0).sum()) > 5  # its companions in triplets, which are not to blame
    expected = np.zeros((20, 20), bool)
    expected[5:15, 3:12] = True
    np.testing.assert_array_equal(counts.suspected[pair], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_two_pairs_wrong_at_one_place_are_both_found(seed):
    # All pairs of 8 epochs: every pair is in six triplets, so two errors do not hide each other.
    random = np.random.default_rng(seed)
    stack = make_stack(epochs=8, lag=7, shape=(1, 1), seed=seed)
    pairs = random.choice(28, 2, replace=False)
    cycles = random.choice([-2, -1, 1, 2], 2)
    for pair, cycle in zip(pairs, cycles, strict=True):
        stack = plant(stack, int(pair), 0, 0, cycle)
    suspected = unwrapping_error_counts(stack).suspected[:, 0, 0].values
    assert set(np.flatnonzero(suspected)) == set(pairs.tolist())


def test_a_lone_triplet_suspects_all_three():
    counts = unwrapping_error_counts(plant(make_stack(epochs=3, lag=2), pair=1, row=0, col=0))
    assert counts.suspected_count.values.tolist() == [1, 1, 1]


def test_permuted_pairs_and_places_give_permuted_answers():
    stack = make_stack(epochs=7, noise=2.5, seed=8)
    order = np.random.default_rng(0).permutation(stack.sizes["pair"])
    shuffled = stack.isel(pair=order)
    one, two = closure_phase(stack), closure_phase(shuffled)
    np.testing.assert_allclose(one.closure, two.closure, atol=1e-6)
    np.testing.assert_array_equal(order[two.pair_13], one.pair_13)
    counts, again = unwrapping_error_counts(stack), unwrapping_error_counts(shuffled)
    assert int(counts.suspected.sum()) > 0
    np.testing.assert_array_equal(counts.suspected.values[order], again.suspected)
    np.testing.assert_array_equal(counts.nonzero_share.values[order], again.nonzero_share)
    flipped = stack.isel(x=slice(None, None, -1)).transpose("x", "pair", "y")
    np.testing.assert_array_equal(closure_phase(flipped).closure.values[..., ::-1], one.closure)
    np.testing.assert_array_equal(closure_mask(flipped).values[..., ::-1], closure_mask(stack))


def test_points_are_places_too():
    stack = make_stack(noise=2.5)
    points = stack.drop_vars(["x", "y"]).stack(point=("y", "x")).drop_vars(["point", "y", "x"], errors="ignore")
    for one, two in (
        (closure_phase(stack).closure, closure_phase(points).closure),
        (closure_mask(stack), closure_mask(points)),
        (unwrapping_error_counts(stack).suspected, unwrapping_error_counts(points).suspected),
    ):
        assert two.dims[-1] == "point"
        np.testing.assert_array_equal(one.values.reshape(two.shape), two)


@pytest.mark.parametrize("chunks", [{"y": 3, "x": 4}, {"pair": 2}])
def test_chunked_data_stay_lazy_and_give_the_same(chunks):
    pytest.importorskip("dask")
    stack = make_stack(shape=(7, 9), noise=2.5)
    lazy = stack.chunk(chunks)
    for function in (closure_phase, closure_mask, unwrapping_error_counts):
        expected, found = function(stack), function(lazy)
        assert found.chunks
        xr.testing.assert_identical(expected, found.compute())


def test_threads_give_the_same():
    stack = make_stack(shape=(130, 140), noise=2.5)
    for function in (closure_phase, closure_mask, unwrapping_error_counts):
        xr.testing.assert_identical(function(stack, threads=1), function(stack, threads=2))


def test_results_are_stamped_and_inputs_left_alone():
    stack = make_stack(noise=2.5)
    before = stack.copy(deep=True)
    stack.unwrapped_phase.values.flags.writeable = False
    found, counts = closure_phase(stack, reference={"row": 0, "col": 0}), unwrapping_error_counts(stack)
    closure_mask(stack)
    xr.testing.assert_identical(stack, before)
    schema.CLOSURES.check(found)
    schema.UNWRAPPING_ERRORS.check(counts)
    assert found.attrs["kind"] == "CLOSURES"
    assert found.closure.attrs["units"] == "rad"
    assert found.integer_closure.dtype == np.float32
    assert {"height", "x", "y", "wavelength", "first", "pair_12"} <= set(found.coords)
    assert not {"reference", "secondary"} & set(found.coords)


def test_no_triplet_is_said_and_gives_an_empty_result():
    stack = make_stack(epochs=4, lag=1)
    with pytest.warns(SuspiciousDataWarning, match="the 3 pairs of stack form no triplet"):
        found = closure_phase(stack)
    assert dict(found.sizes) == {"triplet": 0, "y": 4, "x": 5}
    assert found.closure.dims == ("triplet", "y", "x")
    with pytest.warns(SuspiciousDataWarning, match="no triplet"):
        assert closure_mask(stack).all()
    with pytest.warns(SuspiciousDataWarning, match="no triplet"):
        counts = unwrapping_error_counts(stack)
    assert int(counts.suspected_count.sum()) == 0
    assert np.isnan(counts.nonzero_share).all()


def test_all_nan_is_no_data_not_zero():
    stack = make_stack()
    stack["unwrapped_phase"] = stack.unwrapped_phase * np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert closure_phase(stack).closure.isnull().all()
        assert np.isnan(unwrapping_error_counts(stack).nonzero_share).all()
        assert not closure_mask(stack, min_triplets=1).any()


def test_bad_input_is_refused():
    stack = make_stack()
    with pytest.raises(SchemaError, match="'wavelength' is missing"):
        closure_phase(stack.drop_vars("wavelength"))
    with pytest.raises(SchemaError, match="'unwrapped_phase' is missing"):
        closure_mask(stack.rename(unwrapped_phase="phase"))
    with pytest.raises(InputError, match=r"stack must be an xarray\.Dataset"):
        closure_phase(stack.unwrapped_phase)
    swapped = stack.assign_coords(reference=stack.secondary.variable, secondary=stack.reference.variable)
    with pytest.raises(InputError, match="must be earlier"):
        closure_phase(swapped)
    with pytest.raises(InputError, match="is there 2 times"):
        closure_phase(xr.concat([stack, stack.isel(pair=[0])], "pair", data_vars="minimal"))
    with pytest.raises(InputError, match="outside the dataset"):
        closure_phase(stack, reference={"row": 40, "col": 0})
    with pytest.raises(InputError, match="max_errors must be a whole number of triplets, 0 or more, got -1"):
        closure_mask(stack, max_errors=-1)
    with pytest.raises(InputError, match="min_triplets must be a whole number"):
        closure_mask(stack, min_triplets=0.5)
    holed = stack.copy(deep=True)
    holed.unwrapped_phase[4, 2, 2] = np.nan
    with pytest.raises(InputError, match=r"row 2, col 2, has no data in 1 of 12 pairs, the first being 2018-01-18 to"):
        closure_phase(holed, reference={"row": 2, "col": 2})


def test_a_mask_means_the_places_that_every_pair_covers():
    """As in the inversion: another set of places in each pair would bring their relative motion in."""
    rng = np.random.default_rng(5)
    dates = np.datetime64("2018-01-06", "ns") + np.arange(3).astype("m8[D]") * 12
    phase = rng.normal(0, 3, (3, 4, 5)).astype("f4")
    phase[1, 0, 1] = np.nan
    stack = xr.Dataset(
        {"unwrapped_phase": (("pair", "y", "x"), phase)},
        {"reference": ("pair", dates[[0, 1, 0]]), "secondary": ("pair", dates[[1, 2, 2]]), "wavelength": 0.0555},
    )
    mask = xr.DataArray(np.zeros((4, 5), bool), dims=("y", "x"))
    mask[0, :3] = True
    found = closure_phase(stack, reference=mask)
    level = phase[:, 0, [0, 2]].astype(float).mean(axis=1)
    expected = (phase[0] - level[0]) + (phase[1] - level[1]) - (phase[2] - level[2])
    np.testing.assert_allclose(found.closure.values[0], expected, atol=1e-5)
