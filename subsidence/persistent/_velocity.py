"""Velocity of a series whose atmosphere was separated, with errors that hold that atmosphere."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence.series import Noise, estimate_velocity, internal_precision

__all__ = ["with_velocity"]


def with_velocity(
    series: xr.Dataset, *, seasonal: bool, noise: Noise, threads: int | None, progress: Progress
) -> xr.Dataset:
    """
    Velocity, its standard deviation and its internal precision, of the displacement with its atmosphere.

    A filter takes off only what does not run like motion over time, which leaves a slope as it was: the velocity has
    the error of the whole atmosphere, and residuals without it would state too small a one. In the datum of ties it
    also has that of the reference point's velocity there, the attribute ``reference_velocity_std``.
    """
    whole = series
    if "atmosphere" in series.variables:
        whole = series.assign(displacement=series["displacement"] + series["atmosphere"])
    estimated = estimate_velocity(
        schema.SERIES.stamp(whole), seasonal=seasonal, noise=noise, threads=threads, progress=progress
    )
    if "reference_velocity_std" in series.attrs:
        datum = np.float32(series.attrs["reference_velocity_std"])
        estimated["velocity_std"] = np.hypot(estimated["velocity_std"].variable, datum)
    estimated = internal_precision(estimated, seasonal=seasonal, threads=threads)
    return schema.SERIES.stamp(estimated.assign(displacement=series["displacement"].variable))
