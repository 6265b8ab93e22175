"""Residual height from a displacement series and the baselines of its epochs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence import _blocks, schema
from subsidence._blocks import Output
from subsidence._kernels import height as kernels
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray

__all__ = ["remove_residual_height"]


def remove_residual_height(series: xr.Dataset, *, threads: int | None = None) -> xr.Dataset:
    """
    Estimate the residual height jointly with a quadratic motion and take it off the displacement.

    A height and free phases at every epoch cannot be told apart by a network: the baselines of the pairs
    are differences of those of the epochs. So the motion is held to offset + velocity + acceleration
    while the height is estimated (as Berardino 2002 does), by ordinary least squares on the series,
    whose noise (the atmosphere of the epochs) is alike at every epoch.
    """
    place = schema.spatial_dims(series)
    baseline = series["perpendicular_baseline"].values
    reach = series.variables["slant_range"] * np.sin(np.deg2rad(series.variables["incidence"]))
    displacement = series.variables["displacement"]
    blank = xr.Variable(place, np.zeros([series.sizes[dim] for dim in place]))
    spread = (blank + reach).transpose(*place)
    job = _Job(baseline - baseline[0], to_elapsed(series["time"].values))
    corrected, height, std = _blocks.run(
        job,
        [displacement, spread],
        (
            Output(("time",), (baseline.size,), np.float32),
            Output((), (), np.float32),
            Output((), (), np.float32),
        ),
        place=place,
        threads=threads,
    )
    return series.assign(displacement=corrected, residual_height=height, residual_height_std=std)


@dataclass(frozen=True, eq=False)
class _Job:
    baseline: AnyArray
    years: AnyArray

    def __call__(self, start: int, stop: int, displacement: AnyArray, reach: AnyArray, *outputs: AnyArray) -> None:
        kernels.residual_height(start, stop, displacement, reach, self.baseline, self.years, *outputs)
