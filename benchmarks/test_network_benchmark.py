"""Network inversion timed by pytest-benchmark; with ``--benchmark-disable`` each case runs once, as a test."""

from __future__ import annotations

import network_problem
import numpy as np
import pytest
from network import CASES, ours

PIXELS = 2048


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_invert_network(benchmark, case):
    problem = network_problem.make(PIXELS, long_links=case.long_links)
    job = ours(problem, case)
    series = benchmark(job.run)
    part = problem.head(64)
    truth = network_problem.least_squares(case.phase(part), part.first, part.second, case.weights(part))
    solved = np.isfinite(truth)
    assert solved.mean() > 0.9
    np.testing.assert_allclose(job.read(series).phase[:, :64][solved], truth[solved], rtol=0, atol=1e-4)
