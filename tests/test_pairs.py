"""Which epochs are paired: counts, order, limits, parts, the best reference."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence.errors import DisconnectedNetworkWarning, InputError
from subsidence.network import (
    Network,
    all_pairs,
    choose_reference,
    epoch_baselines,
    sequential_pairs,
    single_reference_pairs,
    small_baseline_pairs,
)

START = np.datetime64("2018-01-06", "ns")


def epochs(days, baselines=None) -> xr.Dataset:
    times = START + (np.asarray(days) * 86400).astype(np.int64) * np.timedelta64(1, "s")
    coords = {"time": times}
    if baselines is not None:
        coords["perpendicular_baseline"] = ("time", np.asarray(baselines, float))
    return xr.Dataset(coords=coords)


TABLES = st.lists(
    st.tuples(st.integers(0, 1500), st.floats(-300, 300)), min_size=2, max_size=20, unique_by=lambda item: item[0]
)
MAKERS = [
    all_pairs,
    single_reference_pairs,
    lambda data: sequential_pairs(data, neighbours=3),
    lambda data: small_baseline_pairs(data, max_days=1e6, max_baseline=1e6),
]


@settings(max_examples=25, deadline=None)
@given(table=TABLES, maker=st.sampled_from(MAKERS))
def test_pairs_are_ordered_unique_and_carry_baseline_differences(table, maker):
    data = epochs(*zip(*table, strict=True))
    before = data.copy(deep=True)
    pairs = maker(data)
    assert data.identical(before)
    assert (pairs.reference < pairs.secondary).all()
    keys = list(zip(pairs.reference.values, pairs.secondary.values, strict=True))
    assert keys == sorted(set(keys))
    by_date = data.set_xindex("time") if "time" not in data.xindexes else data
    expected = (
        by_date.perpendicular_baseline.sel(time=pairs.secondary).values
        - by_date.perpendicular_baseline.sel(time=pairs.reference).values
    )
    np.testing.assert_allclose(pairs.perpendicular_baseline, expected)
    assert Network.of(pairs).parts().max() == 0
    assert pairs.attrs == {}
    assert pairs.perpendicular_baseline.attrs["units"] == "m"


@settings(max_examples=25, deadline=None)
@given(table=TABLES, order=st.randoms(use_true_random=False))
def test_the_order_of_epochs_does_not_matter(table, order):
    shuffled = list(table)
    order.shuffle(shuffled)
    first, second = (epochs(*zip(*rows, strict=True)) for rows in (table, shuffled))
    for maker in MAKERS:
        assert maker(first).identical(maker(second))
    assert choose_reference(first) == choose_reference(second)


@pytest.mark.parametrize("count", [2, 3, 9])
def test_counts(count):
    data = epochs(np.arange(count) * 12)
    assert all_pairs(data).sizes["pair"] == count * (count - 1) // 2
    assert single_reference_pairs(data).sizes["pair"] == count - 1
    for neighbours in (1, 2, 5):
        expected = sum(min(neighbours, count - 1 - k) for k in range(count))
        assert sequential_pairs(data, neighbours=neighbours).sizes["pair"] == expected


def test_limits_hold_and_nothing_within_them_is_left_out():
    random = np.random.default_rng(3)
    days, baselines = np.sort(random.choice(800, 25, replace=False)), random.normal(0, 80, 25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DisconnectedNetworkWarning)
        pairs = small_baseline_pairs(epochs(days, baselines), max_days=90, max_baseline=100.0)
    expected = sum(
        days[j] - days[i] <= 90 and abs(baselines[j] - baselines[i]) <= 100
        for i, j in itertools.combinations(range(25), 2)
    )
    assert pairs.sizes["pair"] == expected
    assert ((pairs.secondary - pairs.reference) / np.timedelta64(1, "D")).max() <= 90
    assert abs(pairs.perpendicular_baseline).max() <= 100
    np.testing.assert_allclose(np.diff(np.unique(Network.of(pairs).parts())), 1)


def test_parts_are_named():
    data = epochs([0, 12, 24, 400, 412, 900])
    with pytest.warns(DisconnectedNetworkWarning) as caught:
        pairs = small_baseline_pairs(data, max_days=30)
    text = str(caught[0].message)
    assert "3 parts" in text
    assert "3 epochs 2018-01-06 to 2018-01-30" in text
    assert "2 epochs 2019-02-10 to 2019-02-22" in text
    assert "2020-06-24 alone" in text
    assert caught[0].filename == __file__
    assert pairs.sizes["pair"] == 4


def test_parts_that_interleave_are_told():
    with pytest.warns(DisconnectedNetworkWarning, match="not all between"):
        small_baseline_pairs(epochs([0, 12, 24, 36], [0, 500, 0, 500]), max_days=30, max_baseline=10)


def test_the_reference_is_the_secondary_of_earlier_epochs():
    data = epochs([0, 12, 24], [5.0, 0.0, 30.0])
    pairs = single_reference_pairs(data, reference="2018-01-18")
    assert pairs.reference.values.tolist() == data.time.values[[0, 1]].tolist()
    np.testing.assert_allclose(pairs.perpendicular_baseline, [-5.0, 30.0])
    np.testing.assert_allclose(epoch_baselines(pairs), [0.0, -5.0, 25.0])
    exact = single_reference_pairs(data, reference=data.time.values[1])
    assert exact.identical(pairs)


def test_the_best_reference_against_a_plain_loop():
    random = np.random.default_rng(0)
    for _ in range(20):
        count = int(random.integers(2, 15))
        days, baselines = np.sort(random.choice(900, count, replace=False)), random.normal(0, 100, count)
        cost = [
            sum(abs(days - days[m])) / (days.max() - days.min())
            + sum(abs(baselines - baselines[m])) / np.ptp(baselines)
            for m in range(count)
        ]
        assert choose_reference(epochs(days, baselines)) == epochs(days).time.values[int(np.argmin(cost))]


def test_the_best_reference_leaves_an_outlying_orbit_alone():
    days, baselines = [0, 12, 24, 36, 48], [0.0, 5.0, 900.0, -5.0, 0.0]
    assert choose_reference(epochs(days)) == epochs(days).time.values[2]
    assert choose_reference(epochs(days, baselines)) != epochs(days).time.values[2]
    # equally close: the earlier; an unknown baseline: time alone
    assert choose_reference(epochs([0, 12])) == START
    assert choose_reference(epochs(days, [0.0, np.nan, 900.0, 0.0, 0.0])) == epochs(days).time.values[2]


def test_what_epochs_can_be():
    data = epochs([0, 12, 24], [0.0, 10.0, 20.0])
    images = data.assign(slc=(("time", "y", "x"), np.ones((3, 2, 2), np.complex64)))
    expected = all_pairs(data)
    assert all_pairs(images).identical(expected)
    assert all_pairs(images.slc).identical(expected)
    alone = expected.drop_vars("perpendicular_baseline")
    for dates in (data.time.values, data.time.variable, data.time.values.astype("M8[D]")):
        assert all_pairs(dates).identical(alone)
    by_pixel = data.assign_coords(
        perpendicular_baseline=(("time", "y", "x"), np.arange(3.0)[:, None, None] * 10 + np.array([[-1.0, 1.0]]))
    )
    np.testing.assert_allclose(all_pairs(by_pixel).perpendicular_baseline, [10, 20, 10])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: all_pairs(np.array(["2018-01-06"], "M8[ns]")), "at least 2 dates"),
        (lambda: all_pairs(epochs([0, 0, 12])), "there twice"),
        (lambda: all_pairs(np.array(["2018-01-06", "NaT"], "M8[ns]")), "NaT"),
        (lambda: all_pairs(np.array(["0018-01-06", "2018-01-06"], "M8[D]")), "between 1678 and 2261"),
        (lambda: all_pairs([1, 2]), "datetime64"),
        (lambda: all_pairs(xr.Dataset()), "coordinate 'time'"),
        (lambda: sequential_pairs(epochs([0, 12]), neighbours=0), "neighbours"),
        (lambda: sequential_pairs(epochs([0, 12]), neighbours=True), "neighbours"),
        (lambda: small_baseline_pairs(epochs([0, 12]), max_days=0), "max_days must be a positive"),
        (lambda: small_baseline_pairs(epochs([0, 12]), max_days="12"), "max_days must be a positive"),
        (
            lambda: small_baseline_pairs(epochs([0, 12]), max_days=np.timedelta64(12, "D")),
            "max_days must be a positive",
        ),
        (lambda: small_baseline_pairs(epochs([0, 12]), max_days=5), "12 days apart"),
        (lambda: small_baseline_pairs(epochs([0, 12]), max_days=50, max_baseline=10.0), "no perpendicular_baseline"),
        (
            lambda: small_baseline_pairs(epochs([0, 12], [0, np.nan]), max_days=50, max_baseline=10.0),
            "not a finite perpendicular_baseline",
        ),
        (lambda: small_baseline_pairs(epochs([0, 12], [0, 1]), max_days=50, max_baseline=-1), "max_baseline"),
        (lambda: single_reference_pairs(epochs([0, 12]), reference="2018-01-07"), "one of the 2 epochs"),
        (lambda: single_reference_pairs(epochs([0, 12]), reference="soon"), "must be a date"),
        (lambda: single_reference_pairs(epochs([0, 0.25, 12]), reference="2018-01-06T01"), "one of the 3 epochs"),
        (
            lambda: all_pairs(epochs([0, 12]).assign_coords(perpendicular_baseline=("pair", [1.0]))),
            "along 'time'",
        ),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_a_day_with_two_epochs_needs_the_exact_time():
    data = epochs([0, 0.25, 12])
    pairs = single_reference_pairs(data, reference=data.time.values[1])
    assert (pairs.secondary.values[0], pairs.reference.values[1]) == (data.time.values[1],) * 2
    # midnight itself is one of the two
    assert single_reference_pairs(data, reference="2018-01-06").reference.values[0] == START
