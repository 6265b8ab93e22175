"""Phases of arcs of known velocity and residual height, the same for every solver.

A single-reference stack, its reference in the middle: regular repeat with gaps, perpendicular baselines at random,
velocity and height evenly spread, independent phase noise of every epoch. Phases are in this library's sign (positive
away from the satellite).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema

REFERENCE = np.datetime64("2018-01-01", "ns")

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Satellite:
    wavelength: float  # m
    slant_range: float  # m
    incidence: float  # degree
    baselines: float  # m, standard deviation
    repeat: int  # days
    velocity: float  # m/year, largest
    height: float  # m, largest


SATELLITES = {
    "s1": Satellite(0.0555, 880e3, 39.0, 70.0, 12, 0.030, 20.0),
    "ers": Satellite(0.0566, 850e3, 23.0, 400.0, 35, 0.030, 40.0),
    "tsx": Satellite(0.0311, 620e3, 35.0, 150.0, 11, 0.030, 40.0),
}


@dataclass(frozen=True)
class ArcProblem:
    satellite: Satellite
    days: npt.NDArray[np.integer]  # (epoch,) since the reference epoch, which is not among them
    baseline: Array  # (epoch,) m
    phase: Array  # (arc, epoch) float32, wrapped
    truth: Array  # (2, arc) velocity m/year, residual height m
    noise: Array  # (arc, epoch) rad

    @property
    def design(self) -> Array:
        """Phase of 1 m/year and of 1 m, ``(2, epoch)``."""
        s = self.satellite
        factor = -4 * np.pi / s.wavelength
        return factor * np.array(
            [self.days / 365.25, self.baseline / (s.slant_range * np.sin(np.deg2rad(s.incidence)))]
        )

    @property
    def half_cells(self) -> Array:
        """Half a resolution cell of each parameter: the truth is in the lobe of an estimate so near."""
        return np.pi / np.ptp(self.design, axis=1)

    def oracle(self) -> Array:
        """Least squares of the same noise, unwrapped by the truth: errors (2, arc)."""
        centred = self.design - self.design.mean(axis=1, keepdims=True)
        return np.linalg.pinv(centred.T) @ (self.noise - self.noise.mean(axis=1, keepdims=True)).T

    def bound(self, sigma: float) -> Array:
        """Cramer-Rao bound of noise `sigma`, the phase constant being unknown."""
        centred = self.design - self.design.mean(axis=1, keepdims=True)
        return np.sqrt(np.diag(np.linalg.inv(centred @ centred.T))) * sigma


def make(
    arcs: int = 20_000,
    *,
    epochs: int = 85,
    sigma: float | tuple[float, float] = 0.6,
    satellite: str = "s1",
    velocity: float | None = None,
    height: float | None = None,
    seed: int = 20240501,
) -> ArcProblem:
    """Draw a problem; of two `sigma` every arc has a noise of its own between them."""
    s = SATELLITES[satellite]
    rng = np.random.default_rng(seed)
    slots = np.arange(1, round(epochs * 1.2) + 1)  # about 17 % missing
    days = (np.sort(rng.choice(slots, epochs, replace=False)) - round(len(slots) / 2)) * s.repeat
    baseline = rng.normal(0.0, s.baselines, epochs)
    largest = (velocity or s.velocity, height or s.height)
    truth = np.array([rng.uniform(-limit, limit, arcs) for limit in largest])
    each = sigma if np.isscalar(sigma) else np.random.default_rng(seed + 1).uniform(*sigma, (arcs, 1))
    # in the neutral generator the phase is positive towards the satellite
    noise = -rng.normal(0, 1.0, (arcs, epochs)) * each
    problem = ArcProblem(s, days, baseline, np.empty((0, epochs), np.float32), truth, noise)
    whole = truth.T @ problem.design + noise
    return ArcProblem(s, days, baseline, np.angle(np.exp(1j * whole)).astype(np.float32), truth, noise)


def dataset(problem: ArcProblem, *, by_point: bool = False) -> tuple[xr.Dataset, xr.Dataset]:
    """POINTS around a first one whose phase is zero, and the ARCS to them; `by_point` gives each its own baselines."""
    arcs, epochs = problem.phase.shape
    s = problem.satellite
    before = int(np.searchsorted(problem.days, 0))
    days = np.insert(problem.days, before, 0)
    baseline = np.insert(problem.baseline, before, 0.0)
    phase = np.zeros((epochs + 1, arcs + 1), np.float32)
    phase[np.delete(np.arange(epochs + 1), before), 1:] = problem.phase.T
    if by_point:
        baseline = np.repeat(baseline[:, None], arcs + 1, axis=1)
    points = xr.Dataset(
        {"phase": (("time", "point"), phase)},
        {
            "time": REFERENCE + days.astype("m8[D]"),
            "perpendicular_baseline": (("time", "point")[: baseline.ndim], baseline),
            "wavelength": s.wavelength,
            "slant_range": s.slant_range,
            "incidence": s.incidence,
        },
        {"reference_time": str(REFERENCE)},
    )
    links = xr.Dataset({"start": ("arc", np.zeros(arcs, int)), "end": ("arc", np.arange(1, arcs + 1))})
    return schema.POINTS.stamp(points), schema.ARCS.stamp(links)
