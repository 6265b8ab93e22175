"""Interferograms with 5 looks, the filter, and the numpy expressions everybody writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import interferograms
import numpy as np
import pytest
import xarray as xr

from subsidence.network import sequential_pairs
from subsidence.stack import form_interferograms, goldstein_filter

LOOKS = (1, 5)


@pytest.fixture(scope="module")
def slc() -> xr.Dataset:
    return interferograms.images(200, 500, 10)


@pytest.fixture(scope="module")
def pairs(slc: xr.Dataset) -> xr.Dataset:
    return sequential_pairs(slc, neighbours=3)


@pytest.mark.benchmark(group="interferograms, 5 looks")
@pytest.mark.parametrize("corrected", [False, True], ids=["sample coherence", "bias corrected"])
def test_form_interferograms(benchmark: Any, slc: xr.Dataset, pairs: xr.Dataset, corrected: bool) -> None:
    found = benchmark(form_interferograms, slc, pairs, looks=LOOKS, bias_correction=corrected, threads=1)
    assert np.isfinite(found.phase).all()


@pytest.mark.benchmark(group="interferograms, 5 looks")
def test_numpy(benchmark: Any, slc: xr.Dataset, pairs: xr.Dataset) -> None:
    phase, coherence = benchmark(interferograms.plain, slc, pairs, LOOKS)
    found = form_interferograms(slc, pairs, looks=LOOKS, bias_correction=False)
    error = np.abs(np.angle(np.exp(1j * (found.phase.values.astype(float) - phase))))
    assert np.quantile(error, 0.9999) < 1e-3
    np.testing.assert_allclose(found.coherence, coherence, atol=1e-5)


@pytest.mark.benchmark(group="Goldstein filter")
@pytest.mark.parametrize("overlap", [0.5, 0.75])
def test_goldstein_filter(benchmark: Any, slc: xr.Dataset, pairs: xr.Dataset, overlap: float) -> None:
    stack = form_interferograms(slc, pairs.isel(pair=slice(0, 3)), looks=LOOKS)
    benchmark(goldstein_filter, stack, overlap=overlap, threads=1)


def test_script(tmp_path: Path) -> None:
    script = Path(__file__).with_name("interferograms.py")
    options = ["--rows", "40", "--cols", "100", "--epochs", "4", "--seconds", "0"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "| 5 looks | subsidence |" in done.stdout
