"""Persistent scatterers on real noise and real geometry: Houston, Mexico City, Amsterdam; and a simulated Foshan."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def real() -> ModuleType:
    """The script that makes the documentation's numbers."""
    return script(ROOT / "docs" / "scripts" / "persistent_real.py")


@pytest.fixture
def folder(data_dir):
    for name in ("psps-houston", "mexico-city", "ps-amsterdam-stm"):
        if not (data_dir / name).is_dir():
            pytest.skip(f"{name} is not in {data_dir}")
    return data_dir


def test_houston_stands_still(real, folder):
    town = real.houston(folder)
    assert np.median(town.arcs["temporal_coherence"]) >= 0.80
    velocity = town.series["velocity"].values
    assert velocity.size > 50
    assert np.mean(np.abs(velocity) < 0.003) >= 0.95
    assert np.isfinite(town.series["velocity_std"]).all()
    # velocity alone: no baselines came with the set
    assert "residual_height" not in town.series or np.isnan(town.series["residual_height"]).all()


def test_mexico_city_sinks_as_the_unwrapped_phases_say(real, folder):
    city = real.mexico(folder)
    ours, theirs = city.velocities
    assert ours.size > 4000
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    # the sign too: a city known to subside
    assert ours.min() < -0.15
    slope = np.polyfit(theirs, ours, 1)[0]
    assert abs(slope - 1) < 0.03


def test_amsterdam_heights_without_noise_are_right_within_a_decimetre(real, folder):
    exact = real.amsterdam(folder)
    assert np.abs(exact.heights - exact.truth).max() < 0.1


def test_amsterdam_heights_with_noise_scatter_as_the_bound_says(real, folder):
    noise = 0.2
    noisy = real.amsterdam(folder, noise=noise, seed=3)
    ratio = (noisy.heights - noisy.truth) / noisy.bound
    right = np.abs(ratio) < 4.5
    # eleven epochs: an arc now and then lands in another lobe; those that do not, meet the bound
    assert right.mean() > 0.99
    assert np.sqrt(np.mean(ratio[right] ** 2)) == pytest.approx(1.0, abs=0.05)
    stated = noisy.stated[right] / noisy.bound[right]
    assert np.sqrt(np.mean(stated**2)) == pytest.approx(1.0, abs=0.1)


def test_foshan_simulated():
    """Rates along the metro line within their errors, in the mean over scenes: one reference point is in all errors."""
    foshan = script(ROOT / "benchmarks" / "foshan.py")
    trials = [foshan.trial(1500, seed) for seed in range(1, 7)]
    found = {name: np.mean([one[name] for one in trials]) for name in trials[0]}
    assert found["points, share solved"] > 0.97
    assert found["velocity RMSE (mm/yr)"] < 1.2
    assert found["within 1 std"] > 0.5
    assert found["within 2 std"] > 0.85
    assert found["internal precision, median (mm/yr)"] < 1.0
    assert found["internal precision below 1 mm/yr"] > 0.75
