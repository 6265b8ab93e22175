"""A strip of ground seen from an orbit over a spherical Earth: range and incidence grow across it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence.geometry import EARTH_RADIUS, look_angle
from subsidence.typing import FloatArray

__all__ = ["Swath"]


@dataclass(frozen=True)
class Swath:
    """
    Where the satellite is, seen from the reference surface.

    Parameters
    ----------
    incidence, slant_range
        Degrees and metres, in the middle of the scene.
    middle
        Distance of the middle from the first column, metres.
    """

    incidence: float
    slant_range: float
    middle: float

    def at(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Incidence (degrees) and slant range (metres) `x` metres from the first column, on the surface."""
        theta = np.deg2rad(self.incidence)
        orbit = np.sqrt(EARTH_RADIUS**2 + self.slant_range**2 + 2 * EARTH_RADIUS * self.slant_range * np.cos(theta))
        # Angle at the Earth's centre between the satellite's nadir and the ground: x is an arc on the sphere.
        nadir = np.arcsin(self.slant_range * np.sin(theta) / orbit) + (x - self.middle) / EARTH_RADIUS
        distance = np.sqrt(orbit**2 + EARTH_RADIUS**2 - 2 * orbit * EARTH_RADIUS * np.cos(nadir))
        incidence = np.arctan2(orbit * np.sin(nadir), orbit * np.cos(nadir) - EARTH_RADIUS)
        return np.rad2deg(incidence), distance

    def look(self, x: FloatArray) -> FloatArray:
        """Look angle towards the reference surface, degrees."""
        incidence, distance = self.at(x)
        values: FloatArray = look_angle(xr.DataArray(incidence, dims="x"), xr.DataArray(distance, dims="x")).values
        return values

    def centre_look(self, x: FloatArray) -> float:
        """Look angle that baselines belong to: that of the scene's median incidence and slant range, degrees."""
        incidence, distance = self.at(x)
        return float(look_angle(float(np.median(incidence)), float(np.median(distance))))
