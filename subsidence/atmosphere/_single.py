"""Atmosphere of single epochs, by the filter that a series' atmosphere was separated with."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence._blocks import Progress
from subsidence.atmosphere._data import Places
from subsidence.atmosphere._separation import Space
from subsidence.typing import FloatArray

__all__ = ["smooth_epochs"]


def smooth_epochs(
    series: xr.Dataset, rest: FloatArray, *, threads: int | None = None, progress: Progress = False
) -> FloatArray:
    """
    Part of `rest` that neighbours share, ``(epoch, point)`` in metres; zeros where no atmosphere was separated.

    The attributes ``atmosphere_*`` of `series`, SERIES on points, say how; each part of its network is filtered alone.
    """
    space = Space.recorded(series.attrs, len(rest), threads=threads, progress=progress)
    if space is None:
        return np.zeros_like(rest)
    places = Places.on_points(series, argument="series")
    return np.asarray(space.smooth(xr.Variable(("time", "point"), rest), places).values)
