"""Settlement curves of known truth, the same for every solver: 85 epochs of 12 days, noise 2 mm.

Data are in millimetres and years, settlement positive. With ``late=True`` the first half of the series are
fastest after the record ends: there the final settlement cannot be known, and a fit must say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema

FIRST = np.datetime64("2018-01-06", "ns")

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class CurveProblem:
    family: str
    t: Array  # (epoch,) years
    y: Array  # (series, epoch) mm
    truth: Array  # (series, 3): amplitude and two shape parameters of the family
    late: npt.NDArray[np.bool_]  # (series,)


def logistic(t: Array, b: Array, a: Array, c: Array) -> Array:
    return b / (1 + a * np.exp(-c * t))


def weibull(t: Array, w_m: Array, eta: Array, lam: Array) -> Array:
    return w_m * (1 - np.exp(-eta * t**lam))


CURVES = {"logistic": logistic, "weibull": weibull}


def make(family: str, series: int = 2000, *, seed: int = 7, sigma: float = 2.0, late: bool = False) -> CurveProblem:
    rng = np.random.default_rng(seed)
    t = np.arange(85) * 12 / 365.25
    size = rng.uniform(50, 400, series)
    half = series // 2
    if family == "logistic":
        a, peak = np.exp(rng.uniform(np.log(10), np.log(100), series)), rng.uniform(0.5, 2.0, series)
        if late:
            peak[:half] = rng.uniform(3.5, 6.0, half)
        truth = np.stack([size, a, np.log(a) / peak], -1)
    else:
        lam, peak = rng.uniform(1.5, 3.5, series), rng.uniform(0.5, 1.8, series)
        if late:
            peak[:half] = rng.uniform(3.5, 6.0, half)
        truth = np.stack([size, (lam - 1) / (lam * peak**lam), lam], -1)
    clean = CURVES[family](t, *truth.T[:, :, None])
    y = clean + rng.normal(0, sigma, clean.shape)
    return CurveProblem(family, t, y, truth, (np.arange(series) < half) & late)


def dataset(problem: CurveProblem) -> xr.Dataset:
    """SERIES of the problem: displacement in metres, subsidence negative."""
    time = FIRST + np.arange(problem.t.size) * np.timedelta64(12, "D")
    series = xr.Dataset({"displacement": (("time", "point"), -problem.y.T / 1000)}, {"time": time}, {"component": "up"})
    return schema.SERIES.stamp(series)


def start(problem: CurveProblem) -> Array:
    """Parameters to start from, (series, 3), as one reads them off a curve: its end and when it passed its quarters."""
    smooth = np.apply_along_axis(np.convolve, 1, problem.y, np.ones(5) / 5, "same")
    final = 1.05 * problem.y[:, -5:].mean(axis=1)
    early, half, most = (
        problem.t[np.maximum(np.argmax(smooth > share * final[:, None], axis=1), 1)] for share in (0.25, 0.5, 0.75)
    )
    if problem.family == "logistic":
        c = np.log(9) / np.maximum(most - early, problem.t[1])
        return np.stack([final, np.exp(np.minimum(c * half, 20.0)), c], -1)
    spread = np.log(np.maximum(most / early, 1.2))
    lam = np.clip(np.log(np.log(4) / np.log(4 / 3)) / spread, 1.0, 5.0)
    return np.stack([final, np.log(2) / half**lam, lam], -1)
