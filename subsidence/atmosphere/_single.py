"""Atmosphere of single epochs, by the filter that a series' atmosphere was separated with."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence._blocks import Progress
from subsidence._points import point_positions
from subsidence.atmosphere._separation import LEAST_PLACES
from subsidence.atmosphere._space import kriging, smooth_points
from subsidence.atmosphere._variogram import Variogram
from subsidence.typing import FloatArray

__all__ = ["smooth_epochs"]

_WIDTH = 2 * np.sqrt(2 * np.log(2))


def smooth_epochs(
    series: xr.Dataset, rest: FloatArray, *, threads: int | None = None, progress: Progress = False
) -> FloatArray:
    """
    Part of `rest` that neighbours share, ``(epoch, point)`` in metres; zeros where no atmosphere was separated.

    The attributes ``atmosphere_*`` of `series`, SERIES on points, say how; each part of its network is filtered alone.
    """
    method = series.attrs.get("atmosphere_method", "none")
    smooth = np.zeros_like(rest)
    if method == "none":
        return smooth
    positions = point_positions(series, argument="series")
    part = np.zeros(rest.shape[1], int)
    if "network_part" in series.variables:
        part = series["network_part"].values
    every = np.ones(len(rest))
    several = np.ptp(part) > 0
    for number in np.unique(part):
        members = np.flatnonzero(part == number)
        if several and members.size < LEAST_PLACES:
            continue
        values, places = np.ascontiguousarray(rest[:, members]), positions[members]
        if method == "kriging":
            variogram = Variogram(
                str(series.attrs["atmosphere_variogram"]),
                float(series.attrs["atmosphere_range"]),
                float(series.attrs["atmosphere_sill"]) * every,
                float(series.attrs["atmosphere_nugget"]) * every,
            )
            neighbours = int(series.attrs["atmosphere_neighbours"])
            found = kriging(values, places, variogram, neighbours=neighbours, threads=threads, progress=progress)
        else:
            sigma = float(series.attrs["atmosphere_spatial_window"]) / _WIDTH
            found = smooth_points(values, places, sigma, threads=threads, progress=progress)
        smooth[:, members] = found
    return smooth
