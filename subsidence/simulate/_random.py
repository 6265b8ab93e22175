"""Random numbers that depend on the seed, the ingredient and the place alone.

Each ingredient draws from its own stream, so switching one off leaves the others as they were; noise is
drawn tile by tile on a fixed grid, so a scene does not depend on how it is cut into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from subsidence._kernels.plane_waves import add_waves
from subsidence.typing import FloatArray

__all__ = ["PlaneWaves", "Stream", "gaussian", "generator", "power_law"]

#: Waves in one field. Some fifty per octave of wavelength in a scene of 100 pixels, 25 in one of 10,000.
_WAVES = 512
_GOLDEN_RATIO = (1 + np.sqrt(5)) / 2


class Stream(IntEnum):
    """One ingredient's place in the tree of random streams; a number never changes its meaning."""

    TERRAIN = 0
    QUALITY = 1
    ATMOSPHERE = 2
    HEIGHT_GRADIENT = 3
    RESIDUAL_HEIGHT = 4
    BASELINE = 5
    NOISE = 6
    MISSING = 7
    UNWRAPPING = 8
    LEVELLING = 9
    POINTS = 10
    POINT_MOTION = 11
    SPECKLE = 12
    SCATTERERS = 13
    LAND_COVER = 14
    CALIBRATION = 15
    POINT_AMPLITUDE = 16
    SETTLEMENT = 17


def generator(seed: int, stream: Stream, *place: int) -> np.random.Generator:
    """Generator of one ingredient, at one tile where the ingredient is drawn tile by tile."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *place)))


@dataclass(frozen=True)
class PlaneWaves:
    r"""
    Random fields as sums of plane waves, :math:`f(x, y) = \sum_k a_k \cos(k \cdot r) + b_k \sin(k \cdot r)`.

    With normally distributed coefficients each field is Gaussian, stationary and unbounded (no period), and
    can be evaluated on any part of the plane without the rest of it.

    Parameters
    ----------
    wavenumber_x, wavenumber_y
        rad/m, ``(wave,)``.
    cosine, sine
        Coefficients ``(field, wave)``, float32.
    """

    wavenumber_x: FloatArray
    wavenumber_y: FloatArray
    cosine: FloatArray
    sine: FloatArray

    def at(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Fields at scattered places (metres): float32 ``(field, place)``; memory is bounded by blocks of places."""
        result = np.empty((len(self.cosine), x.size), np.float32)
        block = 4096
        for start in range(0, x.size, block):
            part = slice(start, start + block)
            angle = np.outer(self.wavenumber_x, x[part]) + np.outer(self.wavenumber_y, y[part])
            result[:, part] = self.cosine @ np.cos(angle).astype(np.float32)
            result[:, part] += self.sine @ np.sin(angle).astype(np.float32)
        return result

    def evaluate(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Fields at the raster of `x` and `y` (metres): float32 ``(field, y, x)``."""
        angle_x = self.wavenumber_x[:, np.newaxis] * x
        angle_y = self.wavenumber_y[:, np.newaxis] * y
        result = np.zeros((len(self.cosine), y.size, x.size), np.float32)
        add_waves(
            self.cosine,
            self.sine,
            np.cos(angle_x).astype(np.float32),
            np.sin(angle_x).astype(np.float32),
            np.cos(angle_y).astype(np.float32),
            np.sin(angle_y).astype(np.float32),
            result,
        )
        return result


def power_law(
    random: np.random.Generator, *, fields: int, std: float, slope: float, longest: float, shortest: float
) -> PlaneWaves:
    """
    Isotropic fields whose two-dimensional power spectrum falls as ``wavenumber ** slope``.

    Parameters
    ----------
    random
        Where the numbers come from.
    fields
        Independent fields that share the waves and differ in their coefficients.
    std
        Standard deviation of a field at a place, over all realisations.
    slope
        Negative.
    longest, shortest
        Wavelengths in metres between which there is power.
    """
    low, high = np.log(2 * np.pi / longest), np.log(2 * np.pi / shortest)
    # One wave in each of equal steps of log k: every octave has its share, however little power it holds.
    wavenumber = np.exp(low + (high - low) * (np.arange(_WAVES) + random.random(_WAVES)) / _WAVES)
    # The golden ratio spreads the directions of neighbouring wavenumbers evenly over the half circle.
    direction = np.pi * ((random.random() + _GOLDEN_RATIO * np.arange(_WAVES)) % 1)
    power = wavenumber ** (slope + 2)  # power density times the ring's area, k dk = k^2 dlog k
    return _with_coefficients(random, fields, wavenumber, direction, std * np.sqrt(power / power.sum()))


def gaussian(random: np.random.Generator, *, fields: int, std: float, scale: float) -> PlaneWaves:
    """Isotropic fields with the covariance ``std**2 exp(-distance**2 / (2 scale**2))``, `scale` in metres."""
    # The spectrum of that covariance is a Gaussian; its radius is Rayleigh distributed.
    wavenumber = np.sqrt(-2 * np.log1p(-(np.arange(_WAVES) + random.random(_WAVES)) / _WAVES)) / scale
    direction = np.pi * ((random.random() + _GOLDEN_RATIO * np.arange(_WAVES)) % 1)
    return _with_coefficients(random, fields, wavenumber, direction, np.full(_WAVES, std / np.sqrt(_WAVES)))


def _with_coefficients(
    random: np.random.Generator, fields: int, wavenumber: FloatArray, direction: FloatArray, std: FloatArray
) -> PlaneWaves:
    coefficients = (random.standard_normal((2, fields, _WAVES)) * std).astype(np.float32)
    return PlaneWaves(wavenumber * np.cos(direction), wavenumber * np.sin(direction), coefficients[0], coefficients[1])
