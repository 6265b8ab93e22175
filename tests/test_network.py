"""The network of pairs: dates, parts, elimination order, baselines of epochs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import subsidence as sd
from subsidence.errors import InputError
from subsidence.network import Network


def pairs_dataset(pairs: list[tuple[int, int]], **coords: object) -> xr.Dataset:
    dates = np.datetime64("2020-01-01", "ns") + np.arange(100).astype("m8[D]") * 12
    first, second = np.array(pairs).T
    return xr.Dataset(coords={"reference": ("pair", dates[first]), "secondary": ("pair", dates[second]), **coords})


@st.composite
def networks(draw):
    epochs = draw(st.integers(2, 14))
    every = [(i, j) for i in range(epochs) for j in range(i + 1, epochs)]
    return draw(st.lists(st.sampled_from(every), min_size=1, max_size=40, unique=True))


@settings(max_examples=60, deadline=None)
@given(networks())
def test_epochs_and_numbers_rebuild_the_pairs(pairs):
    stack = pairs_dataset(pairs)
    network = Network.of(stack)
    assert (np.diff(network.dates) > np.timedelta64(0)).all()
    assert np.array_equal(network.dates[network.first], stack.reference)
    assert np.array_equal(network.dates[network.second], stack.secondary)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_parts_are_the_connected_components(pairs):
    network = Network.of(pairs_dataset(pairs))
    design = np.zeros((network.first.size, network.dates.size))
    design[np.arange(network.first.size), network.second] = 1
    design[np.arange(network.first.size), network.first] = -1
    parts = network.parts()
    assert parts[0] == 0
    assert parts.max() + 1 == network.dates.size - np.linalg.matrix_rank(design)
    assert (parts[network.first] == parts[network.second]).all()


@settings(max_examples=60, deadline=None)
@given(networks())
def test_elimination_order_is_a_permutation_no_wider_than_time(pairs):
    network = Network.of(pairs_dataset(pairs))
    order, bandwidth = network.elimination_order()
    assert sorted(order) == list(range(1, network.dates.size))
    inner = network.first > 0
    assert bandwidth <= (network.second - network.first)[inner].max(initial=0)
    position = network.positions(order)
    assert position[0] == -1
    lags = np.abs(position[network.first] - position[network.second])[inner]
    assert lags.max(initial=0) == bandwidth


def test_long_links_stay_narrow():
    every = [(i, i + lag) for lag in (1, 2, 3, 30, 31) for i in range(60 - lag)]
    assert len(every) == 174 + 59
    assert Network.of(pairs_dataset(every)).elimination_order()[1] == 13


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 2**31))
def test_epoch_baselines_are_recovered_where_joined(pairs, seed):
    network = Network.of(pairs_dataset(pairs))
    truth = np.random.default_rng(seed).normal(0, 100, network.dates.size)
    stack = pairs_dataset(pairs, perpendicular_baseline=("pair", truth[network.second] - truth[network.first]))
    found = sd.epoch_baselines(stack)
    joined = network.parts() == 0
    np.testing.assert_allclose(found.values[joined], (truth - truth[0])[joined], atol=1e-6)


@pytest.mark.parametrize(
    ("pairs", "match"),
    [
        ([(1, 0)], "must be earlier than its secondary; pair 0 is not .* swap its dates and negate its phase"),
        ([(0, 1), (2, 2)], "pair 1 is not"),
        ([(0, 1), (1, 2), (0, 1)], "pair 2020-01-01, 2020-01-13 is there 2 times"),
    ],
)
def test_bad_pairs(pairs, match):
    with pytest.raises(InputError, match=match):
        Network.of(pairs_dataset(pairs))


def test_missing_dates():
    stack = pairs_dataset([(0, 1), (1, 2)])
    stack["secondary"] = ("pair", np.array(["2020-01-13", "NaT"], "M8[ns]"))
    with pytest.raises(InputError, match="pair 1 has no reference or secondary date"):
        Network.of(stack)


def test_bad_baselines():
    stack = pairs_dataset([(0, 1), (1, 2)])
    with pytest.raises(InputError, match="has no 'perpendicular_baseline'"):
        sd.epoch_baselines(stack)
    with pytest.raises(InputError, match="must be finite and along"):
        sd.epoch_baselines(stack.assign_coords(perpendicular_baseline=("pair", [1.0, np.nan])))
