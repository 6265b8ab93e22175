"""All that the images of a scene are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from subsidence.simulate._check import Spread
from subsidence.simulate._random import PlaneWaves, Stream, gaussian, generator, power_law
from subsidence.simulate._response import Response
from subsidence.simulate._swath import Swath
from subsidence.simulate._turbulence import Lattice
from subsidence.typing import AnyArray, FloatArray

__all__ = ["Motion", "SlcRecipe"]

#: Motion of the caller's: years since the first epoch, x, y (metres), which broadcast, to metres up.
Motion = Callable[[FloatArray, FloatArray, FloatArray], AnyArray]


@dataclass(frozen=True)
class SlcRecipe:
    """All that the images are made of, checked and resolved; small, so that it travels to workers."""

    seed: int
    shape: tuple[int, int]
    #: along y and x
    spacing: tuple[float, float]
    #: longer side, metres; never so short that waves of the ground do not fit
    extent: float
    #: days and years since the first epoch
    days: FloatArray
    years: FloatArray
    wavelength: float
    swath: Swath
    centre_look: float
    #: by epoch, relative to the reference epoch
    perpendicular_baseline: FloatArray
    parallel_baseline: FloatArray
    phase_removed: str
    relief: float
    settlement: float
    centre: tuple[float, float]
    radius: float
    #: of the settlement, by epoch
    fraction: FloatArray
    velocity: float | FloatArray
    acceleration: float | FloatArray
    seasonal_amplitude: float | FloatArray
    #: of the amplitude, by epoch
    season: FloatArray
    motion: Motion | FloatArray | None
    turbulence: Lattice | None
    #: delay per metre of height, by epoch
    height_gradient: FloatArray
    dem_error_std: float
    dem_error_scale: float
    residual_height_std: float
    town: float | FloatArray
    #: points per pixel
    point_density: Spread
    signal_to_clutter: float
    signal_to_clutter_spread: float
    temporary_fraction: float
    variable_fraction: float
    long_term: Spread
    initial: float
    decorrelation_time: Spread
    #: factor of the amplitude, by epoch
    calibration: FloatArray
    response: Response | None
    nan_fraction: float
    empty_epochs: tuple[int, ...]

    @cached_property
    def terrain(self) -> PlaneWaves:
        """Undulation of the ground, unit variance."""
        random = generator(self.seed, Stream.TERRAIN)
        return power_law(random, fields=1, std=1.0, slope=-3.6, longest=self.extent / 2, shortest=self._shortest)

    @cached_property
    def border(self) -> PlaneWaves:
        """What makes the border of the town uneven, unit variance."""
        random = generator(self.seed, Stream.LAND_COVER)
        return power_law(random, fields=1, std=1.0, slope=-3.0, longest=self.extent / 3, shortest=self._shortest)

    @cached_property
    def quality(self) -> PlaneWaves:
        """What makes one field more coherent than another, unit variance."""
        random = generator(self.seed, Stream.QUALITY)
        longest = max(min(self.extent / 3, 600.0), 2 * self._shortest)
        return power_law(random, fields=1, std=1.0, slope=-2.5, longest=longest, shortest=self._shortest)

    @cached_property
    def dem_error(self) -> PlaneWaves:
        """Error of the elevation model, metres."""
        random = generator(self.seed, Stream.RESIDUAL_HEIGHT)
        return gaussian(random, fields=1, std=self.dem_error_std, scale=self.dem_error_scale)

    @property
    def _shortest(self) -> float:
        """Shortest wavelength of the ground: no detail smaller than some fields and blocks of houses."""
        return max(60.0, 2 * max(self.spacing))
