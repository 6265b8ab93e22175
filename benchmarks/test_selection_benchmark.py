"""The selection benchmark runs, and both solvers find the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import selection

SCRIPT = Path(__file__).with_name("selection.py")


def test_numpy_and_the_library_agree():
    data = selection.stack(10, 30, 60)
    points = selection.select_scatterers(data, reference_time=data["time"].values[5])
    dispersion, coherence, phases = selection.numpy_selection(data["slc"].values)
    several = points["source"].values == "multilook"
    cells = np.nonzero(coherence > selection.MIN_COHERENCE)
    assert 5 < cells[0].size == several.sum() < points.sizes["point"]
    np.testing.assert_array_equal(points["row"].values[several], cells[0])
    np.testing.assert_array_equal(points["col"].values[several], cells[1] * selection.LOOKS)
    np.testing.assert_allclose(points["selection_coherence"].values[several], coherence[cells], atol=1e-4)
    at = points["row"].values, points["col"].values
    np.testing.assert_allclose(points["amplitude_dispersion"], dispersion[at], atol=1e-5)
    ordered = np.concatenate([np.flatnonzero(~several), np.flatnonzero(several)])
    error = np.angle(np.exp(1j * (points["phase"].values[:, ordered] - phases)))
    np.testing.assert_allclose(error, 0.0, atol=1e-4)


def test_the_script_prints_its_table():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--epochs", "8", "--rows", "24", "--cols", "60", "--repeats", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| selection | subsidence |" in done.stdout
    assert "| amplitude dispersion | numpy |" in done.stdout
