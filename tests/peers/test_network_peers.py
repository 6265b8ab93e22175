"""Network inversion beside MintPy, dolphin and insar-rs: the same answer where they are right.

Where one is known to be wrong the test says how; when such a test fails, that program has been mended.
"""

from __future__ import annotations

import network_problem
import numpy as np
import pytest
import xarray as xr
from peers import PEERS, quiet

import subsidence as sd
from subsidence import schema

pytestmark = pytest.mark.peer

PIXELS = 300
RADIANS_AWAY = -4 * np.pi / network_problem.WAVELENGTH

all_peers = pytest.mark.parametrize("peer", list(PEERS), indirect=True)
mintpy = pytest.mark.parametrize("peer", ["MintPy"], indirect=True)
dolphin = pytest.mark.parametrize("peer", ["dolphin"], indirect=True)


@pytest.fixture(scope="module")
def problem() -> network_problem.NetworkProblem:
    return network_problem.make(PIXELS)


@all_peers
def test_uniform_weights_without_gaps(peer, problem):
    theirs = answer(peer, problem, problem.complete)
    ours = sd.invert_network(network_problem.dataset(problem, complete=True), weights=None)
    np.testing.assert_allclose(phases(ours), theirs.phase, rtol=0, atol=TOLERANCE[peer.name])
    if theirs.temporal_coherence is not None:
        np.testing.assert_allclose(ours["temporal_coherence"].values.ravel(), theirs.temporal_coherence, atol=2e-6)


@all_peers
def test_uniform_weights_with_gaps(peer, problem):
    theirs = answer(peer, problem, problem.phase)
    ours = sd.invert_network(network_problem.dataset(problem), weights=None)
    solved = ours["status"].values.ravel() == schema.Status.OK
    assert solved.mean() > 0.9
    np.testing.assert_allclose(phases(ours)[:, solved], theirs.phase[:, solved], rtol=0, atol=TOLERANCE[peer.name])


@pytest.mark.parametrize("peer", ["MintPy", "dolphin"], indirect=True)
def test_inverse_variance_weights_with_gaps(peer, problem):
    theirs = answer(peer, problem, problem.phase, problem.weights)
    ours = sd.invert_network(network_problem.dataset(problem), weights="variance")
    solved = ours["status"].values.ravel() == schema.Status.OK
    assert solved.mean() > 0.9
    np.testing.assert_allclose(phases(ours)[:, solved], theirs.phase[:, solved], rtol=0, atol=TOLERANCE[peer.name])
    if theirs.temporal_coherence is not None:
        np.testing.assert_allclose(
            ours["temporal_coherence"].values.ravel()[solved], theirs.temporal_coherence[solved], atol=2e-6
        )


@mintpy
def test_mintpy_gives_zeros_where_an_epoch_cannot_be_reached(peer, problem):
    last = problem.days.size - 1
    phase = np.where((problem.second == last)[:, None], np.float32(np.nan), problem.complete)
    theirs = answer(peer, problem, phase)
    np.testing.assert_array_equal(theirs.phase, 0)  # all epochs, though 59 of 60 are well determined
    ours = sd.invert_network(stack_of(problem, phase), weights=None)
    assert (ours["status"] == schema.Status.UNREACHABLE_EPOCHS).all()
    assert np.isnan(phases(ours)[last]).all()
    truth = network_problem.least_squares(
        phase[problem.second < last], problem.first[problem.second < last], problem.second[problem.second < last]
    )
    np.testing.assert_allclose(phases(ours)[:last], truth, rtol=0, atol=1e-4)


@mintpy
def test_mintpy_joins_a_broken_network_without_a_word(peer, problem):
    gap = (problem.first < 30) & (problem.second >= 30)
    phase = np.where(gap[:, None], np.float32(np.nan), problem.complete)
    theirs = answer(peer, problem, phase)
    assert np.isfinite(theirs.phase).all()
    stack = stack_of(problem, phase)
    ours = sd.invert_network(stack, weights=None)
    assert (ours["status"] == schema.Status.UNREACHABLE_EPOCHS).all()
    assert np.isnan(phases(ours)[30:]).all()
    # Asked for the minimum-norm velocity we give the same numbers, and say so.
    joined = sd.invert_network(stack, weights=None, minimum_norm=True)
    assert (joined["status"] == schema.Status.MINIMUM_NORM).all()
    np.testing.assert_allclose(phases(joined), theirs.phase, rtol=0, atol=TOLERANCE["MintPy"])


@dolphin
def test_dolphin_weighs_by_the_variance(peer):
    """Its file-based driver hands `correlation_to_variance` to the solver as weights: noisy pairs count most."""
    with quiet():
        from dolphin import timeseries

        coherence = np.array([0.9, 0.3], np.float32)
        weights = np.asarray(timeseries.correlation_to_variance(coherence, 1))
        solved, _ = timeseries.weighted_lstsq_single(np.ones((2, 1)), np.array([0.0, 1.0]), weights)
    assert float(solved[0]) == pytest.approx(0.977, abs=1e-3)
    inverse = 2 * coherence**2 / (1 - coherence**2)
    assert np.average([0.0, 1.0], weights=inverse) == pytest.approx(0.023, abs=1e-3)


@dolphin
def test_dolphin_ignores_its_missing_data_flags_without_weights(peer, problem):
    valid = np.isfinite(problem.phase)
    filled = np.where(valid, problem.phase, np.float32(0))[:, :, None]
    with quiet():
        from dolphin import timeseries

        design = timeseries.get_incidence_matrix(
            list(zip(problem.first.tolist(), problem.second.tolist(), strict=True))
        )
        flagged = np.asarray(timeseries.invert_stack(design, filled, None, valid[:, :, None])[0])
        zeros_as_data = np.asarray(timeseries.invert_stack(design, filled)[0])
    np.testing.assert_array_equal(flagged, zeros_as_data)


@mintpy
def test_mexico_city(peer, mexico_dir):
    stack = sd.open_interferograms(mexico_dir, format="gamma").load()
    reference = {"row": 9, "col": 8}
    ours = sd.invert_network(stack, weights=None, reference=reference)
    phase = stack["unwrapped_phase"].values
    phase = phase - phase[:, reference["row"], reference["col"], None, None]
    dates = ours["time"].values
    first, second = (np.searchsorted(dates, stack[name].values) for name in ("reference", "secondary"))
    flat = phase.reshape(first.size, -1)
    theirs = peer.prepare(flat, first, second, dates).answer()
    solved = ours["status"].values.ravel() == schema.Status.OK
    assert solved.sum() == 5882
    metres = -float(stack["wavelength"]) / (4 * np.pi) * theirs.phase
    displacement = ours["displacement"].values.reshape(dates.size, -1)
    np.testing.assert_allclose(displacement[:, solved], metres[:, solved], rtol=0, atol=2e-7)
    coherence = ours["temporal_coherence"].values.ravel()[solved]
    np.testing.assert_allclose(coherence, theirs.temporal_coherence[solved], rtol=0, atol=1e-5)
    assert (np.abs(theirs.phase[:, ~solved]) == 0).all()  # zeros, where there is no answer


#: rad. insar-rs computes in float64; MintPy and dolphin in float32, on phases up to some 100 rad.
TOLERANCE = {"MintPy": 2e-4, "dolphin": 2e-3, "insar-rs": 3e-5}


def answer(peer, problem, phase, weights=None):
    with quiet():
        return peer.prepare(phase, problem.first, problem.second, problem.dates(), weights=weights).answer()


def phases(series: xr.Dataset) -> np.ndarray:
    """Our displacement back in rad, positive away, as (epoch, pixel)."""
    metres = series["displacement"].values.astype(np.float64)
    return metres.reshape(metres.shape[0], -1) * RADIANS_AWAY


def stack_of(problem, phase) -> xr.Dataset:
    stack = network_problem.dataset(problem)
    return stack.assign(unwrapped_phase=(stack["unwrapped_phase"].dims, phase.reshape(stack["unwrapped_phase"].shape)))
