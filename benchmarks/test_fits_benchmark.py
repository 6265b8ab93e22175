"""Fits of many series timed by pytest-benchmark; with ``--benchmark-disable`` once, as a test. And their problem."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import curve_problem
import numpy as np
import pytest
from fits import FREE, ours, scipy_curve_fit, starts

from subsidence import schema

FOLDER = Path(__file__).resolve().parent
NEUTRAL = FOLDER.parents[1] / "shared" / "bench" / "curves.py"
CASES = [(family, free) for family, cases in FREE.items() for free in cases]


@pytest.mark.parametrize(("family", "free"), CASES)
def test_fit_map(benchmark, family, free):
    problem = curve_problem.make(family, 256)
    run = ours(problem, free, threads=1)
    cost = benchmark(run, 0, 256)
    clean = curve_problem.CURVES[family](problem.t, *problem.truth.T[:, :, None])
    # Truth is one curve of those that compete; an onset may end in a neighbouring minimum.
    assert (cost < ((problem.y - clean) ** 2).sum(axis=1) * 1.001).mean() > 0.99


@pytest.mark.parametrize("family", curve_problem.CURVES)
def test_a_peer_finds_the_same(family):
    problem = curve_problem.make(family, 30)
    np.testing.assert_allclose(ours(problem, (), threads=1)(0, 30), scipy_curve_fit(problem, ())(0, 30), rtol=1e-4)
    assert starts(problem, ("offset",)).shape == (30, 4)


@pytest.mark.skipif(not NEUTRAL.is_file(), reason=f"the neutral generator is not at {NEUTRAL}")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("family", curve_problem.CURVES)
def test_equals_the_neutral_generator(family, late):
    spec = importlib.util.spec_from_file_location("neutral_curves", NEUTRAL)
    neutral = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(neutral)
    problem = curve_problem.make(family, 50, seed=3, late=late)
    t, y, truth = neutral.make(family, 50, seed=3, late=late)
    np.testing.assert_array_equal(problem.t, t)
    np.testing.assert_array_equal(problem.y, y)
    np.testing.assert_array_equal(problem.truth, truth)
    assert problem.late.sum() == (25 if late else 0)


def test_dataset_is_a_valid_series():
    problem = curve_problem.make("weibull", 4)
    series = curve_problem.dataset(problem)
    schema.SERIES.check(series)
    np.testing.assert_allclose(series["displacement"].values, -problem.y.T / 1000)


def test_script(tmp_path):
    command = [sys.executable, str(FOLDER / "fits.py"), "--quick", "--peers", "scipy curve_fit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| weibull | amplitude, shape | subsidence |" in done.stdout
    assert "scipy curve_fit" in done.stdout
    assert "Said to be not identifiable" in done.stdout
