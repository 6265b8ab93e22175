"""Atmospheric delay: turbulence with a power-law spectrum, and layers that follow the topography."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence.errors import InputError
from subsidence.simulate._check import finite, not_negative, positive
from subsidence.simulate._random import PlaneWaves, Stream, generator, power_law
from subsidence.typing import FloatArray

__all__ = ["Atmosphere"]


@dataclass(frozen=True, kw_only=True)
class Atmosphere:
    r"""
    Delay of the atmosphere along the line of sight, independent from epoch to epoch.

    Parameters
    ----------
    std
        Standard deviation of the turbulent delay of one epoch, metres.
    slope
        Exponent of the turbulence's two-dimensional power spectrum. -8/3 is that of a delay whose
        rotationally averaged spectrum falls as k to the -5/3, seen at scales beyond about 2 km (Hanssen 2001,
        doi:10.1007/0-306-47633-9, section 4.7); -11/3 that of the smaller scales.
    outer_scale
        Longest wavelength with power, metres; None for the longer side of the scene. A larger one turns
        part of the variance into ramps across the scene.
    height_gradient_std
        Standard deviation over the epochs of the delay that layers in the air make, metres of delay per
        kilometre of height.

    Raises
    ------
    InputError
        When a parameter is out of its range.

    Notes
    -----
    The turbulence is a sum of 512 plane waves with normally distributed coefficients, their wavelengths
    spread evenly in the logarithm between `outer_scale` and two pixels:

    .. math:: f(r) = \sum_k a_k \cos(k \cdot r) + b_k \sin(k \cdot r), \quad
        \operatorname{var} a_k = \operatorname{var} b_k \propto |k|^{\mathrm{slope} + 2}

    Examples
    --------
    >>> from subsidence import simulate
    >>> stack, truth = simulate.interferogram_scene(
    ...     shape=(8, 9), epochs=4, atmosphere=simulate.Atmosphere(std=0.01, height_gradient_std=0.0)
    ... )
    >>> truth.atmosphere.dims, float(abs(truth.topographic_delay).max())
    (('time', 'y', 'x'), 0.0)
    """

    std: float = 0.005
    slope: float = -8 / 3
    outer_scale: float | None = None
    height_gradient_std: float = 0.01

    def __post_init__(self) -> None:
        not_negative("std of Atmosphere", self.std, "m")
        not_negative("height_gradient_std of Atmosphere", self.height_gradient_std, "m per km")
        if finite("slope of Atmosphere", self.slope, "1") >= 0:
            msg = f"slope of Atmosphere must be negative (power falls with wavenumber), got {self.slope!r}"
            raise InputError(msg)
        if self.outer_scale is not None:
            positive("outer_scale of Atmosphere", self.outer_scale, "m")

    def waves(self, *, seed: int, epochs: int, extent: float, spacing: float) -> PlaneWaves:
        """Turbulence of every epoch over a scene whose longer side is `extent` metres."""
        return power_law(
            generator(seed, Stream.ATMOSPHERE),
            fields=epochs,
            std=self.std,
            slope=self.slope,
            longest=self.outer_scale or extent,
            shortest=2 * spacing,
        )

    def height_gradients(self, *, seed: int, epochs: int) -> FloatArray:
        """Delay per metre of height, by epoch, as apparent displacement."""
        random = generator(seed, Stream.HEIGHT_GRADIENT)
        gradients: FloatArray = self.height_gradient_std / 1000 * random.standard_normal(epochs)
        return np.asarray(gradients, np.float32)
