"""The search along arcs timed by pytest-benchmark; with ``--benchmark-disable`` once, as a test. And its problem."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import arc_problem
import numpy as np
import pytest
from arcs import BOX, matrix_product, ours

from subsidence import schema

FOLDER = Path(__file__).resolve().parent
NEUTRAL = FOLDER.parents[1] / "shared" / "bench" / "arcs.py"


@pytest.mark.parametrize("satellite", arc_problem.SATELLITES)
def test_search_phase_model(benchmark, satellite):
    problem = arc_problem.make(512, satellite=satellite)
    value, std = benchmark(ours(problem, threads=1))
    # beyond five standard deviations in neither parameter: the right lobe
    assert (np.abs(value - problem.truth) < 5 * std).all()


def test_the_peer_finds_the_same():
    problem = arc_problem.make(200)
    value, _ = ours(problem, threads=1)()
    other, _ = matrix_product(problem)()
    np.testing.assert_allclose(other[0], value[0], atol=2e-4)


@pytest.mark.skipif(not NEUTRAL.is_file(), reason=f"the neutral generator is not at {NEUTRAL}")
@pytest.mark.parametrize("options", [{}, {"seed": 5, "epochs": 20, "sigma": 1.0, "satellite": "ers"}])
def test_equals_the_neutral_generator_with_the_sign_turned(options):
    spec = importlib.util.spec_from_file_location("neutral_arcs", NEUTRAL)
    neutral = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(neutral)
    problem = arc_problem.make(50, **options)
    theirs = neutral.make(50, **{"scenario" if key == "satellite" else key: value for key, value in options.items()})
    np.testing.assert_allclose(problem.design, [-theirs["design_velocity"], -theirs["design_height"]], rtol=1e-12)
    np.testing.assert_array_equal(problem.truth, [theirs["dv"], theirs["dz"]])
    np.testing.assert_allclose(np.abs(np.exp(1j * problem.phase) - np.exp(-1j * theirs["phase"])), 0.0, atol=1e-6)
    np.testing.assert_allclose(problem.bound(options.get("sigma", 0.6)), theirs["crb"], rtol=1e-9)


def test_dataset_is_a_valid_stack():
    problem = arc_problem.make(6, epochs=10)
    points, arcs = arc_problem.dataset(problem, by_point=True)
    schema.POINTS.check(points)
    schema.ARCS.check(arcs)
    assert dict(points.sizes) == {"time": 11, "point": 7}
    assert (points["phase"] == 0).all("point").sum() == 1
    assert np.isin(problem.phase[3], points["phase"].values[:, 4]).all()
    assert BOX[1] == (-40.0, 40.0)


def test_script(tmp_path):
    command = [sys.executable, str(FOLDER / "arcs.py"), "--quick", "--satellites", "s1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| s1 | 0.6 | subsidence |" in done.stdout
    assert "numpy matrix product" in done.stdout
