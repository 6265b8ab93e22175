"""A small-baseline inversion problem of known truth, the same for every solver.

Epochs 12 days apart, each paired with its next few (60 epochs and 3 links: 174 pairs). Coherence decays with
the time between the images, each pixel at its own pace; the phase noise follows from the coherence; some
phases are missing at random. Long links, about a year each, are added when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema

WAVELENGTH = 0.0555  # m, C band
REVISIT = 12  # days
LONG_LAGS = (30, 31)  # epochs: about a year

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class NetworkProblem:
    """Phases are in rad, positive away from the satellite; ``truth`` is zero at the first epoch."""

    phase: Array  # (pair, pixel) float32, NaN where missing
    complete: Array  # (pair, pixel) float32, the same without gaps
    coherence: Array  # (pair, pixel) float32
    truth: Array  # (epoch, pixel) float64
    first: npt.NDArray[np.integer]  # (pair,) epoch numbers
    second: npt.NDArray[np.integer]
    days: npt.NDArray[np.integer]  # (epoch,)
    looks: int

    @property
    def pixels(self) -> int:
        return self.phase.shape[1]

    @property
    def weights(self) -> Array:
        """Inverse phase variance of each interferogram, 1/rad2; at least that of a phase that says nothing."""
        squared = np.square(self.coherence, dtype=np.float64)
        return np.maximum(2 * self.looks * squared / (1 - squared), 3 / np.pi**2).astype(np.float32)

    def dates(self) -> npt.NDArray[np.datetime64]:
        return (np.datetime64("2020-01-01", "ns") + self.days * np.timedelta64(1, "D")).astype("datetime64[ns]")

    def head(self, pixels: int) -> NetworkProblem:
        """The first `pixels` pixels."""
        cut = {name: getattr(self, name)[:, :pixels] for name in ("phase", "complete", "coherence", "truth")}
        contiguous = {name: np.ascontiguousarray(array) for name, array in cut.items()}
        return NetworkProblem(**contiguous, first=self.first, second=self.second, days=self.days, looks=self.looks)


def pairs(epochs: int, links: int, *, long_links: bool = False) -> npt.NDArray[np.integer]:
    """Epoch numbers (pair, 2) of a network that joins each epoch with its next `links`."""
    lags = [*range(1, links + 1), *(LONG_LAGS if long_links else ())]
    return np.array([(i, i + lag) for i in range(epochs) for lag in lags if i + lag < epochs])


def make(
    pixels: int = 100_000,
    *,
    epochs: int = 60,
    links: int = 3,
    nan_fraction: float = 0.05,
    looks: int = 20,
    long_links: bool = False,
    seed: int = 20261121,
) -> NetworkProblem:
    """Draw a problem: linear, seasonal and sigmoidal motion per pixel, and decorrelation noise."""
    rng = np.random.default_rng(seed)
    days = REVISIT * np.arange(epochs)
    first, second = pairs(epochs, links, long_links=long_links).T
    truth = _motion(rng, days / 365.25, pixels)
    separation = (days[second] - days[first])[:, None]
    coherence = rng.beta(6, 2, pixels) * np.exp(-separation / rng.uniform(60, 400, pixels))
    coherence = coherence + rng.normal(0, 0.05, (first.size, pixels))
    coherence = np.clip(coherence, 0.05, 0.98).astype(np.float32)
    noise = np.sqrt((1 - coherence**2) / (2 * looks * coherence**2))
    complete = (truth[second] - truth[first] + noise * rng.standard_normal(coherence.shape)).astype(np.float32)
    phase = complete.copy()
    phase[rng.random(phase.shape) < nan_fraction] = np.nan
    return NetworkProblem(phase, complete, coherence, truth, first, second, days, looks)


def dataset(problem: NetworkProblem, *, complete: bool = False, shape: tuple[int, int] | None = None) -> xr.Dataset:
    """The problem as INTERFEROGRAMS; `shape` lays the pixels out as an image (by default, one line)."""
    rows, cols = shape or (1, problem.pixels)
    dims = ("pair", "y", "x")
    dates = problem.dates()
    phase = problem.complete if complete else problem.phase
    stack = xr.Dataset(
        {
            "unwrapped_phase": (dims, phase.reshape(-1, rows, cols)),
            "coherence": (dims, problem.coherence.reshape(-1, rows, cols)),
        },
        coords={
            "reference": ("pair", dates[problem.first]),
            "secondary": ("pair", dates[problem.second]),
            "y": ("y", -50.0 * np.arange(rows)),
            "x": ("x", 50.0 * np.arange(cols)),
            "wavelength": WAVELENGTH,
            "looks": problem.looks,
        },
    )
    return schema.INTERFEROGRAMS.stamp(stack)


def least_squares(
    phase: Array, first: npt.NDArray[np.integer], second: npt.NDArray[np.integer], weights: Array | None = None
) -> Array:
    """
    Float64 answer (epoch, pixel), rad, pixel by pixel through the normal equations' square root (SVD).

    Pixels whose valid pairs do not join all epochs are NaN.
    """
    epochs = int(max(first.max(), second.max())) + 1
    design = np.zeros((first.size, epochs))
    design[np.arange(first.size), first] = -1
    design[np.arange(first.size), second] = 1
    design = design[:, 1:]
    answer = np.full((epochs, phase.shape[1]), np.nan)
    for pixel in range(phase.shape[1]):
        valid = np.isfinite(phase[:, pixel])
        root = np.ones(valid.sum()) if weights is None else np.sqrt(weights[valid, pixel].astype(np.float64))
        x, _, rank, _ = np.linalg.lstsq(design[valid] * root[:, None], phase[valid, pixel] * root, rcond=1e-10)
        if rank == epochs - 1:
            answer[0, pixel], answer[1:, pixel] = 0.0, x
    return answer


def _motion(rng: np.random.Generator, years: Array, pixels: int) -> Array:
    """Phase (epoch, pixel) in rad: mm are turned into metres, and metres towards into radians away."""
    velocity = rng.normal(-40, 40, pixels)
    amplitude, angle = rng.gamma(2, 3, pixels), rng.uniform(0, 2 * np.pi, pixels)
    settlement, speed, middle = rng.uniform(0, 80, pixels), rng.uniform(2, 12, pixels), rng.uniform(0.3, 1.6, pixels)
    t = years[:, None]
    towards = (
        velocity * t + amplitude * np.sin(2 * np.pi * t + angle) - settlement / (1 + np.exp(-speed * (t - middle)))
    )
    metres = 1e-3 * towards
    return np.asarray(-4 * np.pi / WAVELENGTH * (metres - metres[0]))
