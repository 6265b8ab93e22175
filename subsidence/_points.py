"""What points say about the phase model: where they stand in metres, and the phase of a unit of each parameter.

The one place that reads positions, dates and baselines of POINTS; everything above works with the arrays
found here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence.errors import InputError
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["PhaseDesign", "height_scale", "phase_design", "point_positions", "reference_epoch", "wrap"]

_METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True, eq=False)
class PhaseDesign:
    """Phase of a unit of each parameter, in this library's sign (positive away from the satellite).

    Parameters
    ----------
    along
        "time" for single-reference phases, "pair" for those of pairs.
    velocity
        Radians per m/year, ``(n,)``: times the years since the reference epoch, or of the pair.
    years
        Those years, ``(n,)``.
    height
        Radians per metre after division by `height_scale`, ``(n,)`` shared by all points, or
        ``(n, point)`` where baselines vary over them; None where nothing is known about baselines.
    height_scale
        ``(point,)``: the phase of a residual height h is ``height * h / height_scale``; ones where `height`
        is by point.
    seasonal_sine, seasonal_cosine
        Radians per metre, ``(n,)``.
    thermal
        Radians per m/K, ``(n,)``; None without temperatures.
    reference
        Number of the epoch that all phases are relative to, whose phase is zero everywhere; None when
        there is none, or `along` is "pair".
    first, second
        Epoch numbers of each pair, and `dates` of the epochs; of "time" the reference and each epoch.
    dates
        datetime64[ns] of every epoch.
    """

    along: str
    velocity: FloatArray
    years: FloatArray
    height: FloatArray | None
    height_scale: FloatArray
    seasonal_sine: FloatArray
    seasonal_cosine: FloatArray
    thermal: FloatArray | None
    reference: int | None
    first: IntArray
    second: IntArray
    dates: np.ndarray[tuple[int], np.dtype[np.datetime64]]

    @property
    def used(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Epochs or pairs that carry information: all but the reference epoch."""
        keep = np.ones(self.years.size, bool)
        if self.reference is not None:
            keep[self.reference] = False
        return keep


def phase_design(points: xr.Dataset, *, argument: str = "points") -> PhaseDesign:
    """
    Read dates, baselines and geometry of POINTS (or of RESIDUALS or SERIES on points).

    Raises
    ------
    InputError
        When neither time nor pairs are there, or baselines come without slant range and incidence.
    """
    along = "pair" if "pair" in points.dims else "time"
    count = points.sizes["point"]
    if along == "pair":
        reference_dates = np.asarray(points["reference"].values, "M8[ns]")
        secondary_dates = np.asarray(points["secondary"].values, "M8[ns]")
        dates, numbers = np.unique(np.concatenate([reference_dates, secondary_dates]), return_inverse=True)
        first, second = np.split(numbers.astype(np.int64), 2)
        reference = None
    elif "time" in points.dims:
        dates = np.asarray(points["time"].values, "M8[ns]")
        reference = reference_epoch(points)
        second = np.arange(dates.size)
        first = np.full(dates.size, 0 if reference is None else reference)
    else:
        msg = f"{argument} must have a dim 'time' or 'pair', got {tuple(map(str, points.dims))}"
        raise InputError(msg)
    factor = -4 * np.pi / float(points["wavelength"])
    elapsed = to_elapsed(dates)
    calendar = 2 * np.pi * to_elapsed(dates, origin=dates.min().astype("M8[Y]"))
    years = elapsed[second] - elapsed[first]
    height, scale = _height_design(points, along, factor, count, argument)
    thermal = None
    if "temperature" in points.variables:
        temperature = np.asarray(points["temperature"].values, np.float64)
        # by pair it is a difference already; by epoch it counts from the reference
        thermal = factor * (temperature if along == "pair" else temperature - temperature[first])
    return PhaseDesign(
        along=along,
        velocity=factor * years,
        years=years,
        height=height,
        height_scale=scale,
        seasonal_sine=factor * (np.sin(calendar[second]) - np.sin(calendar[first])),
        seasonal_cosine=factor * (np.cos(calendar[second]) - np.cos(calendar[first])),
        thermal=thermal,
        reference=reference,
        first=first,
        second=second,
        dates=dates,
    )


def reference_epoch(points: xr.Dataset) -> int | None:
    """
    Number of the epoch that single-reference phases are relative to.

    The epoch named by the attribute ``reference_time`` where its phase is zero at every point, else any epoch
    whose phase is; None when every epoch carries a phase of its own, as after a common epoch was averaged out.
    """
    name = next((name for name in ("phase", "residual_phase", "displacement") if name in points.variables), None)
    if name is None or "time" not in points[name].dims:
        return None
    values = points[name].transpose("time", "point")
    dates = np.asarray(points["time"].values, "M8[ns]")
    named = points.attrs.get("reference_time")
    order = np.arange(dates.size)
    if named is not None:
        order = np.argsort(dates != np.datetime64(str(named), "ns"), kind="stable")
    for number in order:
        epoch = np.asarray(values[int(number)].values)
        finite = np.isfinite(epoch)
        if finite.any() and not epoch[finite].any():
            return int(number)
    return None


def height_scale(points: xr.Dataset) -> FloatArray:
    """
    By how much more height a point needs for the same phase than one of median geometry, ``(point,)``.

    It is R sin(theta) over its median where one baseline serves all points, else one: then the geometry of
    each is in its ``height_to_phase`` or in baselines of its own.
    """
    names = set(points.variables)
    shared = {"perpendicular_baseline", "slant_range", "incidence"} <= names and "height_to_phase" not in names
    if not shared or "point" in points["perpendicular_baseline"].dims:
        return np.ones(points.sizes["point"])
    scale = _range_times_sine(points)
    return scale / np.median(scale)


def point_positions(points: xr.Dataset, *, argument: str = "points") -> FloatArray:
    """
    Positions in metres, ``(point, 2)``: x and y of a projection, else of longitude and latitude on a plane.

    Raises
    ------
    InputError
        When neither is there, some are not finite, or x and y are degrees.
    """
    names = set(points.variables)
    if {"x", "y"} <= names:
        x, y = (np.asarray(points[name].values, np.float64) for name in ("x", "y"))
        units = str(points["x"].attrs.get("units", "m")), str(points["y"].attrs.get("units", "m"))
        span = max(np.ptp(x), np.ptp(y)) if x.size else 0.0
        looks_geographic = (
            x.size > 1 and np.abs(x).max() <= 360 and np.abs(y).max() <= 90 and span < 5 and np.any(x != np.rint(x))
        )
        if any("degree" in unit for unit in units) or looks_geographic:
            msg = (
                f"{argument}: x and y must be metres of a projection, got {x.min():g}..{x.max():g} and "
                f"{y.min():g}..{y.max():g}, which look like degrees: name them 'lon' and 'lat', or project them"
            )
            raise InputError(msg)
    elif {"lon", "lat"} <= names:
        lon, lat = (np.asarray(points[name].values, np.float64) for name in ("lon", "lat"))
        if lon.size and np.ptp(lon) > 180:  # a scene across the meridian at which degrees start again
            lon = lon[0] + (lon - lon[0] + 180) % 360 - 180
        y = lat * _METRES_PER_DEGREE
        x = lon * _METRES_PER_DEGREE * np.cos(np.deg2rad(lat.mean() if lat.size else 0.0))
    else:
        msg = f"{argument} must have 'x' and 'y' in metres, or 'lon' and 'lat' in degrees"
        raise InputError(msg)
    positions = np.stack([x, y], axis=-1)
    lacking = np.flatnonzero(~np.isfinite(positions).all(axis=-1))
    if lacking.size:
        msg = f"{argument}: {lacking.size} points have no position (NaN), the first being number {lacking[0]}"
        raise InputError(msg)
    return positions


def wrap(values: AnyArray) -> FloatArray:
    """Phases within half a turn of zero."""
    result: FloatArray = values - 2 * np.pi * np.rint(values / (2 * np.pi))
    return result


def _height_design(
    points: xr.Dataset, along: str, factor: float, count: int, argument: str
) -> tuple[FloatArray | None, FloatArray]:
    ones = np.ones(count)
    if "height_to_phase" in points.variables:
        return np.asarray(points["height_to_phase"].transpose(along, "point").values, np.float64), ones
    if "perpendicular_baseline" not in points.variables:
        return None, ones
    missing = [name for name in ("slant_range", "incidence") if name not in points.variables]
    if missing:
        msg = (
            f"{argument} has 'perpendicular_baseline' but no {' and '.join(map(repr, missing))}: "
            "give them (m, degree), or 'height_to_phase', or drop the baselines to search velocity alone"
        )
        raise InputError(msg)
    scale = _range_times_sine(points)
    baseline = points["perpendicular_baseline"]
    if "point" in baseline.dims:
        values = np.asarray(baseline.transpose(along, "point").values, np.float64)
        return factor * values / scale, ones
    values = np.asarray(baseline.values, np.float64)
    return factor * values / np.median(scale), height_scale(points)


def _range_times_sine(points: xr.Dataset) -> FloatArray:
    """R sin(theta) of each point, metres."""
    count = (points.sizes["point"],)
    slant_range = np.broadcast_to(np.asarray(points["slant_range"].values, np.float64), count)
    incidence = np.broadcast_to(np.asarray(points["incidence"].values, np.float64), count)
    return slant_range * np.sin(np.deg2rad(incidence))
