"""Velocity timed by pytest-benchmark beside loops of scipy; with ``--benchmark-disable`` each runs once, as a test.

python -m pytest benchmarks/test_velocity_benchmark.py --benchmark-enable --benchmark-columns=median,ops
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import linalg, optimize

from subsidence.series import estimate_velocity

EPOCHS, PIXELS, PEER_PIXELS = 60, 8192, 16


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 0.003, (EPOCHS, PIXELS))
    for i in range(1, EPOCHS):
        values[i] += 0.5 * values[i - 1]
    values[rng.random(values.shape) < 0.05] = np.nan
    time = np.datetime64("2018-01-06", "ns") + np.arange(EPOCHS) * np.timedelta64(12, "D")
    values += np.linspace(-0.1, 0.1, PIXELS) * (np.arange(EPOCHS) * 12 / 365.25)[:, None]
    return xr.Dataset({"displacement": (("time", "point"), values)}, {"time": time})


def least_squares(d: np.ndarray, design: np.ndarray) -> tuple[float, float]:
    beta, rss, _, _ = linalg.lstsq(design, d)
    return beta[1], np.sqrt(rss / (d.size - 2) * linalg.inv(design.T @ design)[1, 1])


def reml(d: np.ndarray, design: np.ndarray) -> tuple[float, float]:
    """Restricted likelihood maximised over rho, by a whitening of whole arrays."""
    gap = np.rint(np.diff(design[:, 1]) * 365.25 / 12)

    def solve(rho: float) -> tuple[float, float, float]:
        a = rho**gap
        w = 1 / np.sqrt(1 - a * a)
        Z = np.concatenate([design[:1], (design[1:] - a[:, None] * design[:-1]) * w[:, None]])
        z = np.concatenate([d[:1], (d[1:] - a * d[:-1]) * w])
        normal = Z.T @ Z
        beta = linalg.solve(normal, Z.T @ z, assume_a="pos")
        rss = float(((z - Z @ beta) ** 2).sum())
        negative = -np.log(w).sum() + 0.5 * np.linalg.slogdet(normal)[1] + 0.5 * (d.size - 2) * np.log(rss)
        return negative, beta[1], np.sqrt(rss / (d.size - 2) * linalg.inv(normal)[1, 1])

    best = optimize.minimize_scalar(lambda rho: solve(rho)[0], bounds=(0.0, 0.99), method="bounded")
    return solve(best.x)[1:]


PEERS = {"white": least_squares, "autocorrelated": reml}


def loop(scene: xr.Dataset, noise: str) -> np.ndarray:
    t = ((scene.time - scene.time[0]) / np.timedelta64(1, "D") / 365.25).values
    values = scene.displacement.values
    found = []
    for point in range(PEER_PIXELS):
        ok = np.isfinite(values[:, point])
        found.append(PEERS[noise](values[ok, point], np.stack([np.ones(ok.sum()), t[ok]], axis=1)))
    return np.array(found).T


@pytest.mark.parametrize("noise", ["white", "autocorrelated"])
def test_subsidence(benchmark, scene, noise):
    result = benchmark(estimate_velocity, scene, noise=noise, threads=1)
    velocity, std = loop(scene, noise)
    benchmark.extra_info["pixels"] = PIXELS
    if noise == "white":
        np.testing.assert_allclose(result.velocity[:PEER_PIXELS], velocity, rtol=1e-7)
        np.testing.assert_allclose(result.velocity_std[:PEER_PIXELS], std, rtol=1e-7)
    else:  # the likelihood is integrated here, maximised there
        assert (abs(result.velocity[:PEER_PIXELS] - velocity) < 0.3 * std).all()
        np.testing.assert_allclose(result.velocity_std[:PEER_PIXELS], std, rtol=0.1)
        assert (result.velocity_dof < EPOCHS / 2).all()  # where the uncertainty of rho went


@pytest.mark.parametrize("noise", ["white", "autocorrelated"])
def test_scipy_loop(benchmark, scene, noise):
    benchmark.extra_info["pixels"] = PEER_PIXELS
    velocity, std = benchmark(loop, scene, noise)
    assert np.isfinite(velocity).all()
    assert (std > 0).all()


@pytest.mark.parametrize("options", [{"robust": True}, {"seasonal": True, "noise": "autocorrelated"}], ids=str)
def test_other_models(benchmark, scene, options):
    result = benchmark(estimate_velocity, scene, threads=1, **options)
    benchmark.extra_info["pixels"] = PIXELS
    assert np.isfinite(result.velocity).all()
