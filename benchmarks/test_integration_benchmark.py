"""Integration of arcs timed by pytest-benchmark; with ``--benchmark-disable`` each case runs once, as a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from integration import by_dense, exactness, make, ours

POINTS = 1000


@pytest.mark.parametrize("wrong", [0.0, 0.05], ids=["right", "5 % wrong"])
def test_integrate_arcs(benchmark, wrong):
    points, arcs = make(POINTS, wrong=wrong)
    result = benchmark(lambda: ours(points, arcs, threads=1))
    kept = arcs.isel(arc=np.flatnonzero(result.accepted.values))
    expected = by_dense(kept, POINTS, 0)
    for name in ("velocity", "residual_height"):
        np.testing.assert_allclose(result[name].values, expected[name], atol=1e-9 * np.ptp(expected[name]))


def test_it_is_exact():
    assert max(exactness()) < 1e-9


def test_script(tmp_path):
    script = str(Path(__file__).with_name("integration.py"))
    command = [sys.executable, script, "--points", "500", "--threads", "1", "--solvers", "subsidence", "lsqr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| scipy lsqr, values alone | 500 |" in done.stdout
