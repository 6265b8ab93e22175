"""Closure phase of all triplets beside the numpy expression everybody writes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from subsidence.stack import closure_mask, closure_phase, correct_delays, unwrapping_error_counts

EPOCHS, LAG, SIDE = 30, 3, 200
CYCLE = 2 * np.pi


@pytest.fixture(scope="module")
def stack() -> xr.Dataset:
    random = np.random.default_rng(0)
    dates = np.datetime64("2018-01-06", "ns") + np.arange(EPOCHS) * np.timedelta64(12, "D")
    pairs = np.array([(i, j) for i, j in itertools.combinations(range(EPOCHS), 2) if j - i <= LAG])
    epochs = random.normal(0, 3, (EPOCHS, SIDE, SIDE)).astype(np.float32)
    phase = epochs[pairs[:, 1]] - epochs[pairs[:, 0]]
    phase[5, :10] += np.float32(CYCLE)
    return xr.Dataset(
        {"unwrapped_phase": (("pair", "y", "x"), phase)},
        {"reference": ("pair", dates[pairs[:, 0]]), "secondary": ("pair", dates[pairs[:, 1]]), "wavelength": 0.0555},
    )


@pytest.mark.benchmark(group="closure of triplets")
def test_closure_phase(benchmark: Any, stack: xr.Dataset) -> None:
    found = benchmark(closure_phase, stack, threads=1)
    assert (found.integer_closure != 0).any()


@pytest.mark.benchmark(group="closure of triplets")
def test_numpy(benchmark: Any, stack: xr.Dataset) -> None:
    found = closure_phase(stack)
    first, second, third = (found[name].values for name in ("pair_12", "pair_23", "pair_13"))
    phase = stack.unwrapped_phase.values

    def plain() -> tuple[np.ndarray, np.ndarray]:
        closure = phase[first] + phase[second] - phase[third]
        return closure, np.rint(closure / CYCLE)

    closure, cycles = benchmark(plain)
    np.testing.assert_allclose(found.closure, closure, atol=1e-5)
    np.testing.assert_array_equal(found.integer_closure, cycles)


@pytest.mark.benchmark(group="unwrapping errors")
@pytest.mark.parametrize("function", [closure_mask, unwrapping_error_counts], ids=lambda function: function.__name__)
def test_unwrapping_errors(benchmark: Any, stack: xr.Dataset, function: Any) -> None:
    benchmark(function, stack, threads=1)


@pytest.mark.benchmark(group="delays")
@pytest.mark.parametrize("ramp", ["plane", "quadratic"])
def test_correct_delays(benchmark: Any, stack: xr.Dataset, ramp: Any) -> None:
    benchmark(correct_delays, stack, ramp=ramp)
