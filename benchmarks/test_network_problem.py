"""The benchmark's problem is the one that other programs were measured on, and it holds what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import network_problem
import numpy as np
import pytest

from subsidence import schema

NEUTRAL = Path(__file__).resolve().parents[2] / "shared" / "bench" / "network.py"


@pytest.mark.skipif(not NEUTRAL.is_file(), reason=f"the neutral generator is not at {NEUTRAL}")
@pytest.mark.parametrize("options", [{}, {"seed": 5, "epochs": 20, "links": 4, "nan_fraction": 0.3, "looks": 7}])
def test_equals_the_neutral_generator(options):
    spec = importlib.util.spec_from_file_location("neutral_network", NEUTRAL)
    neutral = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(neutral)
    theirs = neutral.make(200, **options)
    ours = network_problem.make(200, **options)
    for name in ("phase", "complete", "coherence", "first", "second", "days"):
        np.testing.assert_array_equal(getattr(ours, name), theirs[name], err_msg=name)
    np.testing.assert_array_equal(ours.truth[1:], theirs["truth"])
    assert ours.phase.dtype == theirs["phase"].dtype


def test_long_links_add_the_pairs_a_year_apart():
    problem = network_problem.make(20, long_links=True)
    lags = problem.second - problem.first
    assert lags.size == 174 + 59
    assert np.isin(lags, (1, 2, 3, 30, 31)).all()


def test_phase_follows_truth_within_its_noise():
    problem = network_problem.make(2000, nan_fraction=0.0)
    misfit = problem.phase - (problem.truth[problem.second] - problem.truth[problem.first])
    assert np.mean(misfit**2 * problem.weights) == pytest.approx(1.0, abs=0.02)


def test_dataset_is_a_valid_stack():
    problem = network_problem.make(12, epochs=8)
    stack = network_problem.dataset(problem, shape=(3, 4))
    schema.INTERFEROGRAMS.check(stack)
    assert dict(stack.sizes) == {"pair": 18, "y": 3, "x": 4}
    np.testing.assert_array_equal(stack["unwrapped_phase"].values.reshape(18, 12), problem.phase)


def test_least_squares_recovers_an_exact_network_and_flags_a_broken_one():
    problem = network_problem.make(3, epochs=10)
    phase = problem.truth[problem.second] - problem.truth[problem.first]
    phase[(problem.first == 9) | (problem.second == 9), 1] = np.nan
    answer = network_problem.least_squares(phase, problem.first, problem.second, problem.weights)
    np.testing.assert_allclose(answer[:, [0, 2]], problem.truth[:, [0, 2]], atol=1e-10)
    assert np.isnan(answer[:, 1]).all()
