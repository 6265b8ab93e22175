"""The search along arcs beside spurt's: the same peak, found at least as precisely."""

from __future__ import annotations

import os
from importlib.util import find_spec

import arc_problem
import arcs
import numpy as np
import pytest

pytestmark = pytest.mark.peer


@pytest.fixture(autouse=True)
def _spurt() -> None:
    if find_spec("spurt") is None:
        reason = "spurt is not installed: python -m pip install 'subsidence[peers]'"
        (pytest.fail if os.environ.get("SUBSIDENCE_REQUIRE_PEERS") else pytest.skip)(reason)


@pytest.mark.parametrize("satellite", ["s1", "tsx"])
def test_both_find_the_truth_and_ours_is_as_precise(satellite):
    problem = arc_problem.make(60, satellite=satellite)
    ours, std = arcs.ours(problem, threads=1)()
    theirs, _ = arcs.spurt(problem)()
    half = problem.half_cells[:, None]
    assert (np.abs(ours - problem.truth) < half).all()
    assert (np.abs(theirs - problem.truth) < half).all()
    assert (np.abs(ours - theirs) < 2 * std).all()
    miss = [np.sqrt(((found - problem.truth) ** 2).mean(axis=1)) for found in (ours, theirs)]
    assert (miss[0] < 1.03 * miss[1]).all()
