"""Arguments of simulated images, checked once and turned into what the rest works with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence.errors import InputError
from subsidence.simulate import _check as check
from subsidence.simulate import _inputs as inputs
from subsidence.simulate._atmosphere import Atmosphere
from subsidence.simulate._response import Response
from subsidence.simulate._slc_recipe import Motion
from subsidence.simulate._tile import TILE
from subsidence.simulate._turbulence import SHORTEST, Lattice
from subsidence.typing import FloatArray

__all__ = [
    "MotionLike",
    "epoch_number",
    "epoch_numbers",
    "moving",
    "point_response",
    "points_per_pixel",
    "spacings",
    "town_share",
    "turbulence",
    "unsteady_shares",
]

MotionLike: TypeAlias = xr.DataArray | Motion


def spacings(spacing: float | tuple[float, float]) -> tuple[float, float]:
    """Size of a pixel along y and x."""
    if np.ndim(spacing) == 0:
        step = check.positive("spacing", spacing, "m")
        return step, step
    if np.shape(spacing) != (2,):
        msg = f"spacing must be a number or (along y, along x) in metres, got {spacing!r}"
        raise InputError(msg)
    along, across = spacing  # type: ignore[misc]  # two of them: its shape was looked at
    return check.positive("spacing along y", along, "m"), check.positive("spacing along x", across, "m")


def epoch_number(name: str, value: object, epochs: int) -> int:
    """Number of an epoch."""
    number = check.whole(name, value, least=0)
    if number >= epochs:
        msg = f"{name} must be below the number of epochs, {epochs}, got {value!r}"
        raise InputError(msg)
    return number


def epoch_numbers(name: str, values: object, epochs: int) -> tuple[int, ...]:
    """Numbers of epochs."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        msg = f"{name} must be a sequence of epoch numbers, got {values!r}"
        raise InputError(msg)
    return tuple(epoch_number(name, value, epochs) for value in values)


def moving(
    motion: object, shape: tuple[int, int, int], *, years: FloatArray, x: FloatArray, y: FloatArray
) -> Motion | FloatArray | None:
    """Motion of the caller's: an array of the scene's shape, or a function."""
    if motion is None:
        return None
    if not isinstance(motion, xr.DataArray):
        if callable(motion):
            return _checked_function(motion, years=years, x=x[:2], y=y[:2])
        msg = f"motion must be a DataArray (time, y, x) or a function of years, x and y, got {motion!r}"
        raise InputError(msg)
    if set(motion.dims) != {"time", "y", "x"}:
        msg = f"motion must have the dims (time, y, x), got {motion.dims}"
        raise InputError(msg)
    values = motion.transpose("time", "y", "x").values
    if values.shape != shape or not np.isfinite(values).all():
        msg = f"motion must be finite and of the scene's shape {shape} (time, y, x), got shape {values.shape}"
        raise InputError(msg)
    return values.astype(np.float32)


def _checked_function(function: Motion, *, years: FloatArray, x: FloatArray, y: FloatArray) -> Motion:
    """The function, after a look at what it returns for a few places."""
    values = np.asarray(function(years[:, np.newaxis, np.newaxis], x, y[:, np.newaxis]), np.float64)
    expected = (years.size, y.size, x.size)
    try:
        fits = np.broadcast_shapes(values.shape, expected) == expected
    except ValueError:
        fits = False
    if not fits or not np.isfinite(values).all():
        msg = f"motion must return finite metres that broadcast to {expected} (time, y, x), got shape {values.shape}"
        raise InputError(msg)
    return function


def turbulence(
    air: Atmosphere, *, seed: int, epochs: int, extent: float, spacing: tuple[float, float], rows: int
) -> Lattice | None:
    """Turbulent delays of the epochs."""
    if air.std == 0:
        return None
    shortest = max(SHORTEST, 2 * max(spacing))
    if (air.outer_scale or extent) <= shortest:
        msg = (
            f"outer_scale of atmosphere must be above {shortest:g} m, the shortest wavelength, got {air.outer_scale!r}"
        )
        raise InputError(msg)
    waves = air.waves(seed=seed, epochs=epochs, extent=extent, spacing=shortest / 2)
    return Lattice(waves, spacing, rows, TILE)


def town_share(town: float | npt.ArrayLike, shape: tuple[int, int]) -> float | FloatArray:
    """Share of town: of the scene, or of each pixel."""
    if np.ndim(town) == 0:
        return inputs.fraction("town", town)  # type: ignore[arg-type]  # which refuses all but a number
    values = check.field("town", town, shape)
    if values.min() < 0 or values.max() > 1:
        msg = f"town must lie between 0 and 1, got {values.min():g} to {values.max():g}"
        raise InputError(msg)
    return values


def points_per_pixel(density: check.Spread, shape: tuple[int, int], spacing: tuple[float, float]) -> check.Spread:
    """Points per pixel from points per square kilometre."""
    area = spacing[0] * spacing[1] / 1e6
    check.spread("point_density", density, low=0.0, high=np.inf, unit="points per square kilometre")
    values = np.asarray(inputs.fitting_spread("point_density", density, shape), np.float64) * area
    # A whole point per pixel may come with a rounding error.
    if values.max() > 1 + 1e-9:
        most, got = 1 / area, values.max() / area
        msg = f"point_density must be at most one point per pixel, {most:g} per square kilometre, got {got:g}"
        raise InputError(msg)
    return values


def unsteady_shares(temporary_fraction: float, variable_fraction: float) -> tuple[float, float]:
    """Shares of the points that come or go, and that vary."""
    temporary = inputs.fraction("temporary_fraction", temporary_fraction)
    variable = inputs.fraction("variable_fraction", variable_fraction)
    if temporary + variable > 1:
        msg = f"temporary_fraction and variable_fraction must add up to at most 1, got {temporary:g} and {variable:g}"
        raise InputError(msg)
    return temporary, variable


def point_response(oversampling: float) -> Response | None:
    """Point response, where it is wider than a pixel."""
    pixels = check.finite("oversampling", oversampling, "pixels per cell of resolution")
    if not 1 <= pixels <= 4:
        msg = f"oversampling must lie between 1 and 4, got {oversampling!r}"
        raise InputError(msg)
    return Response(pixels) if pixels > 1 else None
