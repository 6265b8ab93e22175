"""The chain on simulated scenes: what it says holds the truth as often as it claims.

A scene's reference place brings its own error to every other place, so the shares are means over many small
scenes; benchmarks/recovery.py has the full table.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import subsidence as sd

SEEDS = 30


def chain(seed: int, **options) -> tuple[xr.Dataset, xr.Dataset, xr.DataArray]:
    """Series, truth relative to the same reference, and the coherent places."""
    residual_height = options.pop("residual_height", False)
    stack, truth = sd.simulate.interferogram_scene(
        shape=(16, 16), epochs=30, seed=seed, residual_height_std=3.0 if residual_height else 0.0, **options
    )
    coherent = truth.coherence.min("pair") > 0.3
    best = stack.coherence.mean("pair").where(coherent & truth.stable).argmax(("y", "x"))
    at = {name: int(index) for name, index in best.items()}
    series = sd.invert_network(stack, reference={"row": at["y"], "col": at["x"]}, residual_height=residual_height)
    for name in ("displacement", "residual_height"):
        truth[name] = truth[name] - truth[name].isel(at, drop=True)
    return series, truth, coherent


def scaled(error: xr.DataArray, std: xr.DataArray, keep: xr.DataArray) -> np.ndarray:
    values = (error / std.where(std > 0)).where(keep).values
    return values[np.isfinite(values)]


def shares(found: list[np.ndarray]) -> tuple[float, float]:
    return (
        float(np.mean([(np.abs(z) < 1).mean() for z in found])),
        float(np.mean([(np.abs(z) < 1.96).mean() for z in found])),
    )


def test_displacement_without_atmosphere():
    found, bias = [], []
    for seed in range(SEEDS):
        series, truth, coherent = chain(seed, atmosphere=None)
        error = series.displacement - truth.displacement
        found.append(scaled(error, series.displacement_std, coherent))
        bias.append(float(error.where(coherent).mean()))
    one, two = shares(found)
    assert one == pytest.approx(0.68, abs=0.06)
    assert two == pytest.approx(0.95, abs=0.04)
    assert abs(np.mean(bias)) < 4 * np.std(bias) / np.sqrt(SEEDS)


def test_displacement_with_atmosphere_needs_its_variance():
    alone, added = [], []
    for seed in range(SEEDS):
        series, truth, coherent = chain(seed, bowl=None)
        error = series.displacement - truth.displacement
        whole = sd.add_atmospheric_variance(series, mask=coherent)
        alone.append(scaled(error, series.displacement_std, coherent))
        added.append(scaled(error, whole.displacement_std, coherent))
    assert shares(alone)[0] < 0.2
    one, two = shares(added)
    assert one == pytest.approx(0.66, abs=0.08)
    assert two == pytest.approx(0.94, abs=0.04)


def test_velocity_with_atmosphere():
    found, errors = [], []
    for seed in range(SEEDS):
        series, truth, coherent = chain(seed)
        truth = truth.assign_attrs(series.attrs)
        rate, line = (sd.estimate_velocity(s, acceleration=True, seasonal=True) for s in (series, truth))
        error = rate.velocity - line.velocity
        found.append(scaled(error, rate.velocity_std, coherent))
        errors.append(float(error.where(coherent).mean()))
    one, two = shares(found)
    assert one == pytest.approx(0.66, abs=0.08)
    assert two == pytest.approx(0.93, abs=0.05)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(SEEDS)


def test_residual_height():
    found = []
    for seed in range(SEEDS):
        series, truth, coherent = chain(seed, atmosphere=None, bowl=None, seasonal_amplitude=0.0, residual_height=True)
        found.append(scaled(series.residual_height - truth.residual_height, series.residual_height_std, coherent))
    one, two = shares(found)
    assert one == pytest.approx(0.66, abs=0.06)
    assert two == pytest.approx(0.94, abs=0.04)
